"""Large answers are sent compressed to those who accept it: the epochs of a long job shrink to a fifth."""

import gzip
from typing import Final

from flask import Flask, Response, request

MIN_BYTES: Final = 10_000
"""Smaller answers travel as fast without it."""

_TYPES: Final = frozenset({"application/json", "text/html"})
_LEVEL: Final = 1
"""The fastest: higher levels take several times as long for a tenth less."""


def register(app: Flask) -> None:
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    """Compress the answer. No answer holds a secret beside text of other people, whose length would betray it."""
    if response.mimetype not in _TYPES or response.is_streamed or response.content_encoding:
        return response
    response.vary.add("Accept-Encoding")
    content = response.get_data()
    if len(content) >= MIN_BYTES and is_wanted():
        replace_content(response, compress(content))
    return response


def is_wanted() -> bool:
    """Tell whether a large answer to the current request is to be compressed."""
    return request.method != "HEAD" and request.accept_encodings.quality("gzip") > 0


def compress(content: bytes) -> bytes:
    return gzip.compress(content, _LEVEL, mtime=0)


def replace_content(response: Response, compressed: bytes) -> None:
    """Replace the content of an answer by the same content, compressed."""
    response.vary.add("Accept-Encoding")
    response.set_data(compressed)
    response.content_encoding = "gzip"
    tag, _ = response.get_etag()
    if tag is not None:
        response.set_etag(tag, weak=True)  # these are other bytes than those without compression
