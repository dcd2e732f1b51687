"""What a request can use: the services that the application was made with."""

from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Final, cast

from flask import current_app, g

from service.check_queue import CheckQueue
from service.checker import Checker
from service.db import Database
from service.overdue import OverdueJobs
from service.queue import Notifier
from service.settings import Settings
from service.storage import Storage
from service.store.forecasts import Forecaster
from service.store.principals import Principal
from service.token_bucket import TokenBuckets

EXTENSION: Final = "fitqueue"
REQUEST_THREADS: Final = 64
"""Requests that are answered at the same time: gunicorn's threads, and the connections to the database."""

MAX_FOLLOWERS: Final = 48
"""Requests that may wait for news at the same time. Each takes one of the server's threads; the others stay free."""


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    storage: Storage
    notifier: Notifier
    checker: Checker | None
    """None: models are not checked before they run."""
    forecaster: Forecaster
    check_queue: CheckQueue = field(default_factory=CheckQueue)
    followers: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MAX_FOLLOWERS))
    overdue: OverdueJobs = field(default_factory=OverdueJobs)
    requests: TokenBuckets = field(default_factory=TokenBuckets)
    """How many requests each user with a limit may send now."""

    def end_overdue_jobs(self) -> None:
        """End the jobs that have been queued for too long, unless that was done a moment ago.

        Raises:
            DatabaseUnavailable: nobody can tell.
        """
        self.overdue.end(self.database, self.settings.lease_seconds)


def get_services() -> Services:
    return cast(Services, current_app.extensions[EXTENSION])


def principal() -> Principal:
    """Return who sends the request."""
    return cast(Principal, g.principal)


def find_principal() -> Principal | None:
    """Return who sends the request; None where nobody has to say it, and where it was refused before that."""
    return cast(Principal | None, g.get("principal"))


def request_id() -> str:
    return cast(str, g.request_id)
