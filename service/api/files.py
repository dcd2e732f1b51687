"""Answers with stored files: a whole file or one range, tagged with its sha256, or a redirect to the bucket."""

import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from flask import Response, request
from flask_openapi3.types import ResponseDict
from werkzeug.http import dump_options_header, unquote_etag

from fitqueue.errors import RangeNotSatisfiable
from service.api.errors import problem, storage_errors
from service.api.parameters import problems
from service.models import Artifact, Checkpoint
from service.storage import Storage

_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
DOWNLOAD: Final[ResponseDict] = {
    200: {"content": _FILE},
    206: {"content": _FILE},
    302: None,
    304: None,
    **problems(404, 410, 416),
}

_SAFE_IN_HEADERS: Final = "!#$&+-.^_`|~"
"""What `quote` keeps apart from letters and digits: the `attr-char` of RFC 5987."""


def send(storage: Storage, row: Checkpoint | Artifact, name: str) -> Response:
    """Answer with a file, or the one range of it that the request asks for. Browsers save it under `name`.

    Raises:
        FileNotFoundError: it was deleted.
        StorageUnavailable: the storage failed.
    """
    headers = {"Accept-Ranges": "bytes", "Content-Disposition": content_disposition(name)}
    if request.if_none_match.contains_weak(row.sha256):
        response = Response(status=304, headers=headers)
    else:
        requested = _requested_range(row)
        if requested is None:
            return _unsatisfiable(row)
        if (redirect := _redirect(storage, row)) is not None:
            return redirect
        start, stop, status = requested
        headers["Content-Length"] = str(stop - start)
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{row.size}"
        response = Response(
            _chunks(storage, row, start, stop), status, headers=headers, mimetype="application/octet-stream"
        )
    response.set_etag(row.sha256)
    response.last_modified = row.created_at
    return response


def content_disposition(name: str) -> str:
    """Return the header that tells browsers under which name to save a file.

    A header is Latin-1, so other names follow in the form of RFC 5987. Programs that do not know it get a similar name
    in ASCII.
    """
    if name.isascii():
        return dump_options_header("attachment", {"filename": name})
    encoded = quote(name, safe=_SAFE_IN_HEADERS)
    return dump_options_header("attachment", {"filename": _similar_ascii(name), "filename*": f"UTF-8''{encoded}"})


def _similar_ascii(name: str) -> str:
    """Return the name without accents, and with `_` for each other character that is not ASCII."""
    letters = [letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter)]
    return "".join(letter if letter.isascii() else "_" for letter in letters)


@storage_errors()
def _redirect(storage: Storage, row: Checkpoint | Artifact) -> Response | None:
    """Redirect a GET to the storage, if that gives files out itself. The signature is for this method only."""
    url = storage.signed_url(row.storage_key) if request.method == "GET" else None
    if url is None:
        return None
    response = Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
    response.autocorrect_location_header = False
    response.set_etag(row.sha256)
    return response


@storage_errors()
def _chunks(storage: Storage, row: Checkpoint | Artifact, start: int, stop: int) -> Iterator[bytes]:
    if request.method == "GET":
        return storage.open(row.storage_key, start, stop - start)
    storage.size(row.storage_key)
    return iter(())


def _requested_range(row: Checkpoint | Artifact) -> tuple[int, int, int] | None:
    """Return the first byte, the one after the last, and the status; None if the range lies outside of the file.

    The whole file answers several ranges, as RFC 9110 allows, and any method but GET, as it demands.
    """
    ranges = request.range if request.method == "GET" else None
    if ranges is None or ranges.units != "bytes" or len(ranges.ranges) != 1 or not _range_is_valid(row):
        return 0, row.size, 200
    bounds = ranges.range_for_length(row.size)
    return None if bounds is None else (bounds[0], bounds[1], 206)


def _unsatisfiable(row: Checkpoint | Artifact) -> Response:
    received = request.headers["Range"][:100]
    response = problem(RangeNotSatisfiable(f"The file has {row.size} bytes; received the range '{received}'."))
    response.headers["Content-Range"] = f"bytes */{row.size}"
    return response


def _range_is_valid(row: Checkpoint | Artifact) -> bool:
    """Tell whether the range is of this very file: there is no `If-Range`, or it has this file's strong ETag."""
    condition = request.headers.get("If-Range")
    return condition is None or unquote_etag(condition) == (row.sha256, False)
