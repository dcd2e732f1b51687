"""Applied to every request: its id, a line in the log, and headers that protect browsers."""

import logging
import re
import secrets
import time
from typing import Final

from flask import Flask, Response, g, request

from service import logs

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_logger = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_unbind_log_fields)


def _begin() -> None:
    received = request.headers.get("X-Request-Id", "")
    g.request_id = received if _REQUEST_ID.fullmatch(received) else secrets.token_hex(16)
    g.started_at = time.perf_counter()
    g.log_fields = logs.bind(request_id=g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "private, no-cache")
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["X-Frame-Options"] = "DENY"
        # Not `no-referrer`, with which browsers send `Origin: null` with the forms of our own pages.
        response.headers["Referrer-Policy"] = "same-origin"
    milliseconds = round(1000 * (time.perf_counter() - g.started_at), 1)
    # The path without its query, which may hold the secret of a login link.
    fields = {"method": request.method, "path": request.path, "status": response.status_code, "ms": milliseconds}
    _logger.info("request", extra={**fields, "client": request.remote_addr})
    return response


def _unbind_log_fields(_error: BaseException | None) -> None:
    if "log_fields" in g:
        logs.unbind(g.pop("log_fields"))
