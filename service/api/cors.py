"""Requests of pages on other origins, for those that a setting names. They send a token; a cookie is never accepted."""

from collections.abc import Sequence
from typing import Final

from flask import Flask, current_app, request
from flask_cors import CORS

from service.api import PREFIX

_EXTENSION: Final = "fitqueue-cors"
_ALLOWED: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "X-Request-Id",
)
_EXPOSED: Final = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
)
_MAX_AGE: Final = 600
"""For how many seconds a browser may remember what a preflight was answered."""


def register(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of these origins use the API. Without any, browsers keep all other pages away from it."""
    if not origins:
        return
    app.extensions[_EXTENSION] = True
    CORS(
        app,
        resources={f"{PREFIX}/.*": {"origins": list(origins)}},
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=list(_ALLOWED),
        expose_headers=list(_EXPOSED),
        max_age=_MAX_AGE,
        supports_credentials=False,
        always_send=False,
    )


def is_preflight() -> bool:
    """Tell whether a browser asks, without a token, if a page of another origin may send a request to the API."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return asks and request.path.startswith(f"{PREFIX}/") and _EXTENSION in current_app.extensions
