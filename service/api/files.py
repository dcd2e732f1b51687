"""Stored files as answers: whole or one range, tagged by their sha256; or the address of the store that gives them."""

from collections.abc import Iterator
from typing import Final

from flask import Response, request
from flask_openapi3.types import ResponseDict
from werkzeug.http import dump_options_header, unquote_etag

from fitqueue.errors import RangeNotSatisfiable
from service.api.errors import problem
from service.api.parameters import problems
from service.models import Artifact, Checkpoint
from service.storage import Storage

_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
DOWNLOAD: Final[ResponseDict] = {
    200: {"content": _FILE},
    206: {"content": _FILE},
    302: None,
    304: None,
    **problems(404, 416),
}


def send(store: Storage, row: Checkpoint | Artifact, name: str) -> Response:
    """The file, or the one range of it that the request asks for; to be saved under `name`.

    Raises:
        FileNotFoundError: it is not there any more.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": dump_options_header("attachment", {"filename": name}),
    }
    if request.if_none_match.contains_weak(row.sha256):
        response = Response(status=304, headers=headers)
    else:
        part = _range(row)
        if part is None:
            return _unsatisfiable(row)
        if (elsewhere := _elsewhere(store, row)) is not None:
            return elsewhere
        start, stop, status = part
        headers["Content-Length"] = str(stop - start)
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{row.size}"
        response = Response(
            _chunks(store, row, start, stop), status, headers=headers, mimetype="application/octet-stream"
        )
    response.set_etag(row.sha256)
    response.last_modified = row.created_at
    return response


def _elsewhere(store: Storage, row: Checkpoint | Artifact) -> Response | None:
    """To GET alone: what is signed is the method, too."""
    url = store.signed_url(row.storage_key) if request.method == "GET" else None
    if url is None:
        return None
    response = Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
    response.autocorrect_location_header = False
    response.set_etag(row.sha256)
    return response


def _chunks(store: Storage, row: Checkpoint | Artifact, start: int, stop: int) -> Iterator[bytes]:
    if request.method == "GET":
        return store.open(row.storage_key, start, stop - start)
    store.size(row.storage_key)
    return iter(())


def _range(row: Checkpoint | Artifact) -> tuple[int, int, int] | None:
    """First byte, the one after the last, and the status; None where the range lies outside.

    As RFC 9110 allows, several ranges get the whole, and as it demands, every method but GET.
    """
    wanted = request.range if request.method == "GET" else None
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or not _range_is_valid(row):
        return 0, row.size, 200
    bounds = wanted.range_for_length(row.size)
    return None if bounds is None else (bounds[0], bounds[1], 206)


def _unsatisfiable(row: Checkpoint | Artifact) -> Response:
    received = request.headers["Range"][:100]
    response = problem(RangeNotSatisfiable(f"The file has {row.size} bytes; got the range '{received}'."))
    response.headers["Content-Range"] = f"bytes */{row.size}"
    return response


def _range_is_valid(row: Checkpoint | Artifact) -> bool:
    """Whether the range means this very file: without `If-Range`, or where that names its tag, and not a weak one."""
    condition = request.headers.get("If-Range")
    return condition is None or unquote_etag(condition) == (row.sha256, False)
