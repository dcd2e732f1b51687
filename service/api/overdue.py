"""Applied to every request: jobs that have been queued for too long are ended before it is answered."""

from contextlib import suppress

from flask import Flask, request

from fitqueue.errors import DatabaseUnavailable
from service.api.authentication import is_open
from service.api.context import get_services


def register(app: Flask) -> None:
    app.before_request(_end_overdue_jobs)


def _end_overdue_jobs() -> None:
    if not is_open(request.path):
        # The answer to the request itself says what is wrong with the database; that of `/readyz` is a report.
        with suppress(DatabaseUnavailable):
            get_services().end_overdue_jobs()
