"""Errors as RFC 9457 problem documents. The only place that knows status codes of errors."""

import logging
from http import HTTPStatus
from typing import Final

from flask import Flask, Response
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from fitqueue import errors
from fitqueue.errors import Fault, FitQueueError
from fitqueue.views import Problem
from service.api.context import request_id

_logger = logging.getLogger(__name__)

STATUSES: Final[dict[type[FitQueueError], int]] = {
    errors.MalformedJSON: 400,
    errors.Unauthenticated: 401,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.BodyTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.RangeNotSatisfiable: 416,
    errors.InvalidRequest: 422,
    errors.InvalidSpec: 422,
    errors.InvalidDataset: 422,
    errors.IdempotencyMismatch: 422,
    errors.DatabaseUnavailable: 503,
    errors.StorageUnavailable: 503,
    errors.TooManyFollowers: 503,
    errors.InternalError: 500,
}

_OF_FLASK: Final[dict[int, type[FitQueueError]]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
    416: errors.RangeNotSatisfiable,
}

_MAX_FAULTS: Final = 100


def register(app: Flask) -> None:
    app.register_error_handler(FitQueueError, _answer_own)
    app.register_error_handler(HTTPException, _answer_flask)
    app.register_error_handler(OSError, _answer_store)
    app.register_error_handler(Exception, _answer_unforeseen)


def status_of(error: FitQueueError) -> int:
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def invalid_request(error: ValidationError, *, of_body: bool = False) -> errors.InvalidRequest:
    """What pydantic says of the parameters, in our words; of a body its faults' places are JSON pointers."""
    faults = [
        Fault(
            pointer=_pointer(fault["loc"]) if of_body else ".".join(str(part) for part in fault["loc"]),
            code=fault["type"],
            message=fault["msg"],
            received=_shortened(fault["input"]),
        )
        for fault in error.errors(include_url=False, include_context=False)
    ]
    return errors.InvalidRequest(errors=faults)


def _pointer(place: tuple[int | str, ...]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def raise_invalid_request(error: ValidationError) -> None:
    """flask-openapi3 calls it for parameters that do not fit."""
    raise invalid_request(error) from error


def problem(error: FitQueueError, status: int | None = None) -> Response:
    status = status or status_of(error)
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=error.code,
        detail=error.message,
        request_id=request_id(),
        errors=error.errors[:_MAX_FAULTS],
    )
    response = Response(document.model_dump_json(), status, mimetype="application/problem+json")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "1"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="fitqueue"'
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # The rest of the body was not read: the connection cannot be used for another request.
        response.headers["Connection"] = "close"
    return response


def _answer_own(error: FitQueueError) -> Response:
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _logger.error("The request failed.", exc_info=error)
    return problem(error, status)


def _answer_flask(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error  # a redirect
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer_unforeseen(error)
    kind = _OF_FLASK.get(error.code)
    if kind is None:
        return problem(errors.InvalidRequest(error.description), error.code)
    response = problem(kind())
    for name, value in error.get_headers():
        if name in {"Allow", "Content-Range"}:
            response.headers[name] = value
    return response


def _answer_store(error: OSError) -> Response:
    """No request has to do with files of this machine but those of the store, and those on their way to it."""
    _logger.error("The store of files failed.", exc_info=error)
    return problem(errors.StorageUnavailable())


def _answer_unforeseen(error: Exception) -> Response:
    _logger.error("The request failed in an unforeseen way.", exc_info=error)
    return problem(errors.InternalError())


def _shortened(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
