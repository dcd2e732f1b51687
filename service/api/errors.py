"""Answers errors with RFC 9457 problem documents. The only place that knows the status code of each error."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, TypeVar

from flask import Flask, Response
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException

from fitqueue import errors
from fitqueue.errors import Fault, FitQueueError
from fitqueue.json_pointer import pointer_to
from fitqueue.spec import validation_words
from fitqueue.text import truncate
from fitqueue.views import Problem
from service.api.context import request_id

Body = TypeVar("Body", bound=BaseModel)
_logger = logging.getLogger(__name__)

STATUSES: Final[dict[type[FitQueueError], int]] = {
    errors.MalformedJSON: 400,
    errors.MalformedRequest: 400,
    errors.Unauthenticated: 401,
    errors.CrossSite: 403,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTimeout: 408,
    errors.Conflict: 409,
    errors.FileGone: 410,
    errors.Expired: 410,
    errors.BodyTooLarge: 413,
    errors.URITooLong: 414,
    errors.UnsupportedMediaType: 415,
    errors.RangeNotSatisfiable: 416,
    errors.InvalidRequest: 422,
    errors.InvalidSpec: 422,
    errors.InvalidDataset: 422,
    errors.LimitExceeded: 422,
    errors.IdempotencyMismatch: 422,
    errors.TooManyRequests: 429,
    errors.HeadersTooLarge: 431,
    errors.DatabaseUnavailable: 503,
    errors.StorageUnavailable: 503,
    errors.TooManyFollowers: 503,
    errors.CheckerBusy: 503,
    errors.InternalError: 500,
}

_BY_STATUS: Final[dict[int, type[FitQueueError]]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
    416: errors.RangeNotSatisfiable,
}

RETRY_SECONDS: Final = "1"
"""What `Retry-After` says of a service that is busy."""

_MAX_FAULTS: Final = 100

_BUSY: Final = (errors.TooManyFollowers, errors.CheckerBusy)
"""What the service refuses when it has enough to do. Nothing failed."""

_BODY_UNREAD: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})


def register(app: Flask) -> None:
    app.register_error_handler(FitQueueError, _answer_error)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(Exception, _answer_unexpected)


def status_of(error: FitQueueError) -> int:
    for error_type in type(error).__mro__:
        if error_type in STATUSES:
            return STATUSES[error_type]
    return HTTPStatus.INTERNAL_SERVER_ERROR


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate the OSErrors of a block that uses the storage, or files on their way to it, and nothing else.

    Raises:
        StorageUnavailable: the storage failed.
        FileNotFoundError: it works, and does not have the file.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise errors.StorageUnavailable from error


def validated(model: type[Body], body: object) -> Body:
    """Return the body of a request as its model.

    Raises:
        InvalidRequest: pydantic rejects it. Each fault has a JSON pointer into the body.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _invalid_request(error, lambda keys: pointer_to(*keys)) from error


def raise_invalid_parameters(error: ValidationError) -> None:
    """Raise what pydantic rejected in the path or the query: each fault gets the parameter's name.

    flask-openapi3 calls this.

    Raises:
        InvalidRequest: always.
    """
    raise _invalid_request(error, lambda keys: str(keys[0])) from error


def problem(error: FitQueueError, status: int | None = None) -> Response:
    """Return the problem document of an error, with its own status code or another one."""
    status = status or status_of(error)
    document = document_of(error, status, request_id())
    response = Response(document.model_dump_json(), status, mimetype="application/problem+json")
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        response.headers["Retry-After"] = RETRY_SECONDS
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="fitqueue"'
    if status in _BODY_UNREAD:
        # The rest of the body was not read: the connection cannot be used for another request.
        response.headers["Connection"] = "close"
    return response


def document_of(error: FitQueueError, status: int, request_id: str) -> Problem:
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=error.code,
        detail=error.message,
        request_id=request_id,
        errors=error.errors[:_MAX_FAULTS],
    )


def _answer_error(error: FitQueueError) -> Response:
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, _BUSY):
        _logger.error("The request failed.", exc_info=error)
    return problem(error, status)


def _answer_http_exception(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error  # a redirect
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer_unexpected(error)
    error_type = _BY_STATUS.get(error.code)
    if error_type is None:
        return problem(errors.InvalidRequest(error.description), error.code)
    response = problem(error_type())
    for name, value in error.get_headers():
        if name in {"Allow", "Content-Range"}:
            response.headers[name] = value
    return response


def _answer_unexpected(error: Exception) -> Response:
    _logger.error("The request failed unexpectedly.", exc_info=error)
    return problem(errors.InternalError())


def _invalid_request(
    error: ValidationError, to_pointer: Callable[[tuple[int | str, ...]], str]
) -> errors.InvalidRequest:
    faults = [
        Fault(
            pointer=to_pointer(fault["loc"]),
            code=fault["type"],
            message=validation_words.message(fault),
            received=truncate(str(fault["input"]), 100),
        )
        for fault in error.errors(include_url=False)
    ]
    return errors.InvalidRequest(errors=faults)
