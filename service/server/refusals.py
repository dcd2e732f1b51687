"""The answers of the server itself, when no request reaches the application: problem documents like all others."""

import secrets
from http import HTTPStatus

from gunicorn.http import errors as gunicorn_errors

from fitqueue.errors import FitQueueError, HeadersTooLarge, InternalError, MalformedRequest, URITooLong
from service.api.errors import document_of, status_of


def refusal_of(error: BaseException) -> FitQueueError:
    """Translate what gunicorn raised before or beside the application."""
    match error:
        case gunicorn_errors.LimitRequestLine():
            return URITooLong()
        case gunicorn_errors.LimitRequestHeaders():
            return HeadersTooLarge()
        case gunicorn_errors.InvalidResponseHeader() | gunicorn_errors.InvalidResponseHeaderName():
            return InternalError()
        case gunicorn_errors.ParseException():
            return MalformedRequest(f"{error}.")
        case _:
            return InternalError()


def response_of(error: FitQueueError) -> bytes:
    """Return the whole response, as it goes over the connection."""
    status, headers, body = headers_and_body_of(error)
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def headers_and_body_of(error: FitQueueError) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return the parts of a response, after which the connection is closed: the status line, the headers, the body."""
    status, request_id = HTTPStatus(status_of(error)), secrets.token_hex(16)
    body = document_of(error, status, request_id).model_dump_json().encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-Id", request_id),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "private, no-cache"),
        ("Connection", "close"),
    ]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append(("Retry-After", "1"))
    return f"{status.value} {status.phrase}", headers, body
