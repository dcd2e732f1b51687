"""Applied to every request: jobs that have been queued for too long are ended before it is answered."""

from flask import Flask, request

from service.api.authentication import is_open
from service.api.context import get_services


def register(app: Flask) -> None:
    app.before_request(_end_overdue_jobs)


def _end_overdue_jobs() -> None:
    if not is_open(request.path):
        get_services().end_overdue_jobs()
