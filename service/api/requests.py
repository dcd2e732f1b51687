"""Applied to every request: its id, its token, a line in the log, and headers that protect browsers."""

import logging
import re
import secrets
import time
from typing import Final

from flask import Flask, Response, g, request
from werkzeug.wrappers import Request

from fitqueue.errors import Unauthenticated
from service import logs
from service.api.context import get_services
from service.store import tokens

COOKIE: Final = "fitqueue_token"
LIVENESS_PATH: Final = "/healthz"
OPEN_PATHS: Final = frozenset({LIVENESS_PATH})
LOGIN_PATH: Final = "/docs"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_logger = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.before_request(_begin)
    app.before_request(_authenticate)
    app.after_request(_finish)
    app.teardown_request(_unbind_log_fields)


def _begin() -> None:
    received = request.headers.get("X-Request-Id", "")
    g.request_id = received if _REQUEST_ID.fullmatch(received) else secrets.token_hex(16)
    g.started_at = time.perf_counter()
    g.log_fields = logs.bind(request_id=g.request_id)


def _authenticate() -> None:
    if request.path in OPEN_PATHS:
        return
    token = token_of(request)
    if token is None:
        raise Unauthenticated()
    with get_services().database.read() as session:
        token_id = tokens.verify(session, token)
    if token_id is None:
        raise Unauthenticated("The token is invalid, or was revoked.")
    g.token_id = token_id


def token_of(request: Request) -> str | None:
    """Return the token that a request brings, valid or not."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.method not in {"GET", "HEAD"}:
        return None  # another site's page can make a browser send cookies: they must not change anything
    if request.path == LOGIN_PATH and "token" in request.args:
        return request.args["token"]
    return request.cookies.get(COOKIE)


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "private, no-cache")
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
    milliseconds = round(1000 * (time.perf_counter() - g.started_at), 1)
    # The path without its query, which may contain a token.
    fields = {"method": request.method, "path": request.path, "status": response.status_code, "ms": milliseconds}
    _logger.info("request", extra=fields)
    return response


def _unbind_log_fields(_error: BaseException | None) -> None:
    if "log_fields" in g:
        logs.unbind(g.pop("log_fields"))
