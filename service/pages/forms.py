"""Forms that post to the service without a script, and what a page shows of one that was refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.errors import FitQueueError
from service.api.errors import status_of

Result = TypeVar("Result")


@dataclass(frozen=True)
class Form:
    """A form that was posted and refused. A page may have several; `id` tells which one it was."""

    id: str
    values: Mapping[str, str]
    error: FitQueueError

    @property
    def status(self) -> int:
        return status_of(self.error)

    def faults_of(self, field: str) -> list[str]:
        """Return what is wrong with a field."""
        return [fault.message for fault in self.error.errors if fault.pointer == f"/{field}"]

    def faults_beside(self, fields: list[str]) -> list[str]:
        """Return what is wrong, apart from the faults of these fields."""
        if not self.error.errors:
            return [self.error.message]
        shown = {f"/{field}" for field in fields}
        return [f"{fault.pointer}: {fault.message}" for fault in self.error.errors if fault.pointer not in shown]


def posted() -> dict[str, str]:
    """Return the fields of the form that was posted. One that was left empty is not there."""
    return {name: value.strip() for name, value in request.form.items() if value.strip()}


def handle(
    id: str,
    perform: Callable[[dict[str, str]], Result],
    refused: Callable[[Form], Response],
    done: Callable[[Result], BaseResponse],
) -> BaseResponse:
    """Do what a form asks, and answer with `done`; or with `refused`, which shows the form with what is wrong.

    Raises:
        FitQueueError: the service failed.
    """
    values = posted()
    try:
        result = perform(values)
    except FitQueueError as error:
        if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return refused(Form(id, values, error))
    return done(result)


def to(endpoint: str, saved: str | None = None, **values: Any) -> Callable[[object], BaseResponse]:
    """Return what leads to a page, which says that the form `saved` was saved; `values` are those of its address."""
    return lambda _: redirect(url_for(endpoint, saved=saved, **values), 303)


def unstored(response: Response) -> Response:
    """Return a page that no browser keeps, because it shows a secret."""
    response.headers["Cache-Control"] = "no-store"
    return response
