"""Data sets: uploaded, listed, deleted. The built-in ones stand among them."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from fitqueue.datasets import BUILTIN, BuiltinDataset
from fitqueue.errors import (
    BodyTooLarge,
    Conflict,
    DatabaseUnavailable,
    Fault,
    InvalidDataset,
    InvalidRequest,
    UnsupportedMediaType,
)
from fitqueue.views import ArrayView, DatasetView, Page
from service import npz
from service.api import PREFIX
from service.api.context import Services, services
from service.api.parameters import ALWAYS, PageQuery, Query, Text, answer, problems
from service.ids import new_id
from service.models import Dataset
from service.storage import dataset_key
from service.store import datasets
from service.sweeping import LEFT_ALONE

blueprint = APIBlueprint(
    "datasets", __name__, url_prefix=f"{PREFIX}/datasets", abp_tags=[Tag(name="datasets")], abp_responses=ALWAYS
)

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
_TYPES: Final = frozenset({"", "application/octet-stream", "application/zip", "application/x-npz"})
_PIECE: Final = 1024**2

_UPLOAD = {
    "requestBody": {
        "required": True,
        "description": "An .npz file of plain numeric arrays, as numpy.savez writes it.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class UploadQuery(Query):
    name: str | None = Field(default=None, pattern=_NAME, description="for people, and for jobs; else its id")


class DatasetPath(BaseModel):
    reference: Text = Field(description="the id or the name")


@blueprint.post(
    "",
    summary="Upload a data set",
    openapi_extensions=_UPLOAD,
    responses={201: DatasetView, 200: DatasetView, **problems(409, 413, 415)},
)
def upload(query: UploadQuery) -> Response:
    """The body is the .npz itself. Content that is there already is not stored again: the answer is 200 with it."""
    if request.mimetype not in _TYPES:
        raise UnsupportedMediaType(
            f"The Content-Type is '{request.mimetype}'; send the .npz itself as 'application/octet-stream'."
        )
    _refuse_reserved(query.name)
    parts = services()
    dataset_id = new_id("ds")
    with _received(parts) as (path, sha256):
        arrays = npz.inspect(path, parts.settings.max_dataset_bytes)
        dataset, is_new = _store(parts, dataset_id, query.name or dataset_id, path, sha256, arrays)
    headers = {"Location": f"{PREFIX}/datasets/{dataset.id}"}
    return answer(view(dataset), 201 if is_new else 200, headers)


@blueprint.get("", summary="List data sets", responses={200: Page[DatasetView]})
def list_datasets(query: PageQuery) -> Response:
    """The built-in ones, then the uploaded ones, newest first."""
    with services().database.read() as session:
        rows, cursor = datasets.list_page(session, query.cursor, query.limit)
    builtin = [builtin_view(dataset) for dataset in BUILTIN.values()] if query.cursor is None else []
    return answer(Page[DatasetView](data=[*builtin, *map(view, rows)], next_cursor=cursor))


@blueprint.get("/<reference>", summary="Get a data set", responses={200: DatasetView, **problems(404)})
def get_dataset(path: DatasetPath) -> Response:
    if path.reference in BUILTIN:
        return answer(builtin_view(BUILTIN[path.reference]))
    with services().database.read() as session:
        return answer(view(datasets.get(session, path.reference)))


@blueprint.delete("/<reference>", summary="Delete a data set", responses={204: None, **problems(404, 409)})
def delete_dataset(path: DatasetPath) -> Response:
    """Refused while a job that has not ended needs it."""
    if path.reference in BUILTIN:
        raise Conflict(f"'{path.reference}' is built in and cannot be deleted.")
    parts = services()
    with parts.database.write() as session:
        key = datasets.delete(session, path.reference)
    parts.store.discard(key)
    return Response(status=204)


def view(row: Dataset) -> DatasetView:
    return DatasetView(
        id=row.id,
        name=row.name,
        builtin=False,
        arrays=[ArrayView.model_validate(array) for array in row.arrays],
        size=row.size,
        sha256=row.sha256,
        source=None,
        created_at=row.created_at,
    )


def builtin_view(dataset: BuiltinDataset) -> DatasetView:
    arrays = dataset.info.arrays.items()
    return DatasetView(
        id=dataset.info.name,
        name=dataset.info.name,
        builtin=True,
        arrays=[ArrayView(name=name, shape=list(array.shape), dtype=array.dtype) for name, array in arrays],
        size=dataset.path.stat().st_size if dataset.path else None,
        sha256=None,
        source=dataset.source,
        created_at=None,
    )


def _refuse_reserved(name: str | None) -> None:
    if name is not None and re.match("ds_", name):
        message = "names that begin with 'ds_' are the service's ids"
        raise InvalidRequest(errors=[Fault(pointer="name", code="reserved", message=message, received=name)])


@contextmanager
def _received(parts: Services) -> Iterator[tuple[Path, str]]:
    """The body in a file of its own, and its sha256. The file is gone after the block, unless it was moved."""
    limit = parts.settings.max_dataset_bytes
    request.max_content_length = limit
    # No worker sweeps this folder where the API stands on a machine of its own and files go into a bucket.
    parts.store.delete_old_incoming(LEFT_ALONE)
    path = parts.store.temporary_folder() / f"upload-{secrets.token_hex(16)}"
    sha256 = hashlib.sha256()
    try:
        with path.open("wb") as file:
            while piece := request.stream.read(_PIECE):
                sha256.update(piece)
                file.write(piece)
        yield path, sha256.hexdigest()
    except RequestEntityTooLarge:
        raise BodyTooLarge(
            f"The data set is larger than {limit} bytes, which is all that this service takes."
        ) from None
    except ClientDisconnected:
        raise InvalidDataset("The body ended before its Content-Length.") from None
    finally:
        path.unlink(missing_ok=True)


def _store(
    parts: Services, dataset_id: str, name: str, path: Path, sha256: str, arrays: list[ArrayView]
) -> tuple[Dataset, bool]:
    size = path.stat().st_size
    with parts.database.read() as session:
        existing = datasets.of_content(session, sha256)
    if existing is not None:
        return existing, False
    # The file first, under a key that nobody else uses: a row without its file would be found by jobs.
    key = dataset_key(dataset_id)
    parts.store.put(key, path)
    try:
        with parts.database.write() as session:
            dataset, is_new = datasets.create(session, dataset_id, name, sha256, size, arrays)
    except DatabaseUnavailable:
        raise  # it may have been stored all the same, and only the answer was lost: the file must be there then
    except Exception:
        parts.store.discard(key)
        raise
    if not is_new:
        parts.store.discard(key)
    return dataset, is_new
