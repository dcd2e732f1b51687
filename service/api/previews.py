"""Rows of the arrays of a data set, for people to look at."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from fitqueue.datasets import BUILTIN, BuiltinDataset
from fitqueue.errors import ArrayNotFound, Fault, FileGone, InvalidDataset, InvalidRequest
from fitqueue.views import DatasetPreview
from service import npz
from service.api import PREFIX
from service.api.context import Services, get_services, principal
from service.api.datasets import DatasetPath
from service.api.errors import storage_errors
from service.api.parameters import ALWAYS, Query, Text, answer, problems
from service.api.views import preview_view
from service.npz.rows import MAX_PASSED, MAX_ROWS
from service.storage import Storage
from service.storage.seekable import seekable
from service.store import datasets

blueprint = APIBlueprint(
    "previews", __name__, url_prefix=f"{PREFIX}/datasets", abp_tags=[Tag(name="datasets")], abp_responses=ALWAYS
)

_MAX_INDEX: Final = 2**40


class PreviewQuery(Query):
    array: Text = Field(min_length=1, max_length=1024, description="the name of the array")
    first: int = Field(default=0, ge=0, lt=_MAX_INDEX, description="the index of the first row")
    rows: int = Field(default=20, ge=1, le=MAX_ROWS, description="how many rows to return, at most")


@blueprint.get(
    "/<reference>/preview",
    summary="Look at rows of an array",
    responses={200: DatasetPreview, **problems(404, 410)},
)
def preview_dataset(path: DatasetPath, query: PreviewQuery) -> Response:
    """At most 100 rows, 100,000 values and 1 MiB.

    A table with more columns is cut after the last one that fits. Of other arrays fewer rows are returned, and a single
    row that does not fit is cut. `truncated` says so. Of built-in data sets only those have values that come with the
    package.
    """
    if path.reference in BUILTIN:
        file = _open_builtin(BUILTIN[path.reference], query.array)
    else:
        file = _open_stored(get_services(), path.reference, query.array)
    with file:
        return answer(preview_view(query.array, query.first, _read(file, query)))


def _open_builtin(dataset: BuiltinDataset, array: str) -> BinaryIO:
    """Open the file of a built-in data set.

    Raises:
        ArrayNotFound: it has no such array, or no file here.
    """
    if array not in dataset.info.arrays:
        raise ArrayNotFound(f"The data set '{dataset.info.name}' has no array '{array}'.")
    if dataset.path is None:
        raise ArrayNotFound(
            f"The values of '{dataset.info.name}' are not here: a worker downloads them when a job needs them."
        )
    return dataset.path.open("rb")


def _open_stored(services: Services, reference: str, array: str) -> BinaryIO:
    """Open the file of an uploaded data set.

    Raises:
        DatasetNotFound: there is none.
        ArrayNotFound: it has no such array.
    """
    with services.database.read() as session:
        dataset = datasets.get(session, reference, principal().viewer)
    info = datasets.info(dataset)
    if array in info.left_out:
        raise ArrayNotFound(f"The array '{array}' was left out at the upload: {info.left_out[array]}.")
    if array not in info.arrays:
        raise ArrayNotFound(f"The data set '{dataset.name}' has no array '{array}'.")
    return _stored_file(services.storage, dataset.storage_key)


def _stored_file(storage: Storage, key: str) -> io.BufferedReader:
    """Open a stored file.

    Raises:
        FileGone: it was deleted. This and the next may also be raised when it is read.
        StorageUnavailable: the storage failed.
    """

    # No read raises an OSError: Python's reader of zip files would take it for a fault of the file.
    @_file_gone()
    @storage_errors()
    def read_range(start: int, size: int) -> bytes:
        return b"".join(storage.open(key, start, size))

    # Not the size in the database: if somebody replaced the file, a bucket would refuse ranges behind its end.
    with _file_gone(), storage_errors():
        return seekable(read_range, storage.size(key))


@contextmanager
def _file_gone() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileGone("The file of the data set is gone from the storage.") from error


def _read(file: BinaryIO, query: PreviewQuery) -> npz.Rows:
    """Read the rows.

    Raises:
        ArrayNotFound: the file has no such array.
        InvalidDataset: it cannot be read any more.
        InvalidRequest: the rows are too far from the beginning.
    """
    try:
        return npz.read_rows(file, query.array, query.first, query.rows)
    except npz.NoArray as error:
        raise ArrayNotFound(f"The file has no array '{query.array}'.") from error
    except (npz.Rejected, npz.NotNumbers) as error:
        raise InvalidDataset(f"The array cannot be read any more: {error}.") from error
    except npz.TooFar as error:
        message = f"the array is compressed, and only its first {MAX_PASSED // 1024**2} MiB can be looked at"
        fault = Fault(pointer="first", code="too_far", message=message, received=query.first)
        raise InvalidRequest(errors=[fault]) from error
