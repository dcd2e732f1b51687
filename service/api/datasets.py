"""Data sets: upload, list, delete. The built-in ones are listed with the uploaded ones."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from fitqueue.audit_actions import AuditAction
from fitqueue.datasets import BUILTIN
from fitqueue.errors import (
    BodyTooLarge,
    Conflict,
    DatabaseUnavailable,
    Fault,
    InvalidDataset,
    InvalidRequest,
    UnsupportedMediaType,
)
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.spec.strict import Pattern
from fitqueue.views import DatasetView, Page
from service import npz, weights_upload
from service.api import PREFIX, auditing
from service.api.addresses import address_of
from service.api.context import Services, get_services, principal
from service.api.errors import storage_errors
from service.api.parameters import ALWAYS, PageQuery, Query, Text, answer, problems
from service.api.views import builtin_view, dataset_view
from service.ids import new_id
from service.models import Dataset, Project
from service.storage import dataset_key
from service.store import dataset_details, datasets, projects, submission_limits
from service.store.access import Viewer
from service.store.datasets import DatasetFilter
from service.sweeping import MIN_AGE

blueprint = APIBlueprint(
    "datasets", __name__, url_prefix=f"{PREFIX}/datasets", abp_tags=[Tag(name="datasets")], abp_responses=ALWAYS
)

_NAME: Final = Pattern(
    "[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    "1 to 128 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
)
_TYPES: Final = frozenset(
    {"", "application/octet-stream", "application/zip", "application/x-npz", "application/x-hdf5"}
)
_CHUNK: Final = 1024**2

_UPLOAD = {
    "requestBody": {
        "required": True,
        "description": (
            "An .npz file as numpy.savez writes it, a single array as numpy.save writes it, or weights: a .weights.h5, "
            "a .keras or a legacy .h5."
        ),
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class UploadQuery(Query):
    name: Annotated[str, _NAME] | None = Field(
        default=None, description="a name that jobs can use; default: its id, and it is deleted when nobody uses it"
    )
    project: Text = Field(default=DEFAULT_PROJECT, max_length=64, description="the project that it belongs to")


class DatasetsQuery(PageQuery):
    unnamed: bool = Field(default=False, description="also those that were uploaded without a name")
    sha256: Annotated[str, Pattern("[0-9a-f]{64}", "64 hexadecimal digits")] | None = Field(
        default=None, description="only those with this content, as it is stored or as it was sent, named or not"
    )
    submitted_by: Text | None = Field(
        default=None, max_length=128, description="only those that were uploaded with a token of this name"
    )
    owner: Text | None = Field(default=None, max_length=64, description="only those of the user with this name")
    project: Text | None = Field(default=None, max_length=64, description="only those of the project with this name")

    @property
    def has_builtin(self) -> bool:
        """Whether the list begins with the built-in data sets."""
        others = (self.sha256, self.submitted_by, self.owner, self.project)
        return all(other is None for other in others)

    def filter(self, viewer: Viewer) -> DatasetFilter:
        return DatasetFilter(
            unnamed=self.unnamed or self.sha256 is not None,
            sha256=self.sha256,
            submitted_by=self.submitted_by,
            owner=self.owner,
            project=self.project,
            viewer=viewer,
        )


class DatasetPath(BaseModel):
    reference: Text = Field(description="an id or a name")


@blueprint.post(
    "",
    summary="Upload a data set",
    openapi_extensions=_UPLOAD,
    responses={201: DatasetView, 200: DatasetView, **problems(404, 409, 413, 415)},
)
def create_dataset(query: UploadQuery) -> Response:
    """The body is the file itself; weights are kept as an .npz.

    The same content under the same name, or without one, gets 200 and the first one.
    """
    if request.mimetype not in _TYPES:
        raise UnsupportedMediaType(
            f"The Content-Type is '{request.mimetype}'; send the .npz itself as 'application/octet-stream'."
        )
    _refuse_reserved(query.name)
    services = get_services()
    dataset_id = new_id("ds")
    with services.database.read() as session:
        project = projects.get(session, query.project, principal().viewer)
        # Before somebody waits for an upload that cannot be stored; it is checked again when it is.
        submission_limits.check_new_dataset(session, principal().user_id, project.id, request.content_length or 0)
    with _inspected_file(services) as received:
        dataset, is_new = _store(services, dataset_id, query.name, project, received)
    headers = {"Location": address_of(f"/datasets/{dataset.id}")}
    with services.database.read() as session:
        view = _view(session, dataset)
    return answer(view, 201 if is_new else 200, headers)


@blueprint.get("", summary="List data sets", responses={200: Page[DatasetView]})
def list_datasets(query: DatasetsQuery) -> Response:
    """The built-in ones, then the uploaded ones, newest first. With `sha256` or `submitted_by`, uploaded ones alone."""
    return answer(read_datasets(get_services(), query))


def read_datasets(services: Services, query: DatasetsQuery) -> Page[DatasetView]:
    """Return a page of the list of data sets.

    Raises:
        InvalidRequest: the cursor is not one of this list.
    """
    content = query.sha256
    if content is not None:
        _renew(services, content)
    filter = query.filter(principal().viewer)
    with services.database.read() as session:
        rows, cursor = datasets.list_page(session, query.cursor, query.limit, filter)
        details = dataset_details.read_all(session, rows)
        total = datasets.count(session, filter) if query.total else None
    builtin = list(BUILTIN.values()) if query.has_builtin else []
    first = [builtin_view(dataset) for dataset in builtin] if query.cursor is None else []
    return Page[DatasetView](
        data=[*first, *map(dataset_view, details)],
        next_cursor=cursor,
        total=None if total is None else total + len(builtin),
    )


@blueprint.get("/<reference>", summary="Get a data set", responses={200: DatasetView, **problems(404)})
def get_dataset(path: DatasetPath) -> Response:
    return answer(read_dataset(get_services(), path.reference))


def read_dataset(services: Services, reference: str) -> DatasetView:
    """Return a data set, uploaded or built in.

    Raises:
        DatasetNotFound: there is none with this id or name.
    """
    if reference in BUILTIN:
        return builtin_view(BUILTIN[reference])
    with services.database.read() as session:
        return _view(session, datasets.get(session, reference, principal().viewer))


@blueprint.delete("/<reference>", summary="Delete a data set", responses={204: None, **problems(404, 409)})
def delete_dataset(path: DatasetPath) -> Response:
    """409 while a job that has not ended needs it."""
    if path.reference in BUILTIN:
        raise Conflict(f"'{path.reference}' is built in and cannot be deleted.")
    services = get_services()
    with services.database.write() as session:
        dataset = datasets.delete(session, path.reference, principal().viewer)
        auditing.record(session, AuditAction.DATASET_DELETE, dataset.id, {"name": dataset.plain_name})
    services.storage.discard(dataset.storage_key)
    return Response(status=204)


def _view(session: Session, dataset: Dataset) -> DatasetView:
    return dataset_view(dataset_details.read_all(session, [dataset])[0])


def _refuse_reserved(name: str | None) -> None:
    if name is not None and name.startswith("ds_"):
        message = "names that begin with 'ds_' are reserved for ids"
        raise InvalidRequest(errors=[Fault(pointer="name", code="reserved", message=message, received=name)])


@dataclass(frozen=True)
class _Received:
    """An `.npz` that was received.

    Attributes:
        sent_sha256: the sha256 of what was sent, if it was converted.
    """

    path: Path
    sha256: str
    inspection: npz.Inspection
    sent_sha256: str | None = None


@contextmanager
def _inspected_file(services: Services) -> Iterator[_Received]:
    """Receive the body; yield the `.npz` to store and what it holds.

    Raises:
        BodyTooLarge: the body is larger than the service accepts.
        InvalidDataset: it cannot be read, or the client disconnected.
    """
    limit = services.settings.max_dataset_bytes
    with _received_file(services) as (path, sha256):
        if not weights_upload.holds_weights(path):
            yield _Received(path, sha256, npz.inspect(path, limit))
            return
        converted = path.with_suffix(".npz")
        try:
            inspection = weights_upload.convert(path, converted, limit)
            with converted.open("rb") as file:
                converted_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            yield _Received(converted, converted_sha256, inspection, sent_sha256=sha256)
        finally:
            converted.unlink(missing_ok=True)


@contextmanager
def _received_file(services: Services) -> Iterator[tuple[Path, str]]:
    """Write the body to a file; yield its path and sha256. The file is deleted after the block, unless it was moved.

    Raises:
        BodyTooLarge: it is larger than the service accepts.
        InvalidDataset: the client disconnected.
        StorageUnavailable: the file cannot be written.
    """
    path, sha256 = _new_file(services), hashlib.sha256()
    try:
        _write_body(path, services.settings.max_dataset_bytes, sha256.update)
        yield path, sha256.hexdigest()
    finally:
        path.unlink(missing_ok=True)


@storage_errors()
def _new_file(services: Services) -> Path:
    """Return where to write a new file."""
    # No worker sweeps this folder if the API runs on a machine of its own and files are stored in a bucket.
    services.storage.delete_old_incoming(MIN_AGE)
    return services.storage.temporary_folder() / f"upload-{secrets.token_hex(16)}"


@storage_errors()
def _write_body(path: Path, limit: int, on_chunk: Callable[[bytes], object]) -> None:
    request.max_content_length = limit
    try:
        with path.open("wb") as file:
            while chunk := request.stream.read(_CHUNK):
                on_chunk(chunk)
                file.write(chunk)
    except RequestEntityTooLarge:
        raise BodyTooLarge(f"The data set is too large: this service accepts at most {limit} bytes.") from None
    except ClientDisconnected:
        raise InvalidDataset("The body ended before its Content-Length.") from None


def _renew(services: Services, sha256: str) -> None:
    """Note that data sets with this content are about to be used, unless that is known."""
    with services.database.read() as session:
        ids = datasets.to_renew(session, sha256, principal().viewer)
    if ids:
        with services.database.write() as session:
            datasets.renew(session, ids)


def _store(
    services: Services, dataset_id: str, name: str | None, project: Project, received: _Received
) -> tuple[Dataset, bool]:
    size, inspection = received.path.stat().st_size, received.inspection
    _renew(services, received.sha256)
    with services.database.read() as session:
        existing = datasets.with_content(session, received.sha256, name, project)
    if existing is not None:
        return existing, False
    # The file first, under a key that nobody else uses: a job could use a row whose file is not there yet.
    key = dataset_key(dataset_id)
    with storage_errors():
        services.storage.put(key, received.path)
    try:
        with services.database.write() as session:
            dataset, is_new = datasets.create(
                session,
                dataset_id,
                name or dataset_id,
                received.sha256,
                size,
                inspection.arrays,
                inspection.left_out,
                sent_sha256=received.sent_sha256,
                owner_id=principal().user_id,
                project=project,
                token_id=principal().token_id,
            )
            if is_new:
                auditing.record(
                    session,
                    AuditAction.DATASET_UPLOAD,
                    dataset.id,
                    {"name": dataset.plain_name, "project": project.name},
                )
    except DatabaseUnavailable:
        raise  # the row may have been committed, and only the answer was lost: then the file must be there
    except Exception:
        services.storage.discard(key)
        raise
    if not is_new:
        services.storage.discard(key)
    return dataset, is_new
