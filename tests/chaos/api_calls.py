"""Calls to an API that may be down at the moment. The client itself survives an outage of three seconds."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import fitqueue
from fitqueue.errors import DatabaseUnavailable, Unreachable
from tests.chaos import jobs

OUTAGE_SECONDS: Final = 90.0
OUTAGES: Final = (Unreachable, DatabaseUnavailable)

Result = TypeVar("Result")


def retry(call: Callable[[], Result], seconds: float = OUTAGE_SECONDS) -> Result:
    """Make a call, and repeat it for so many seconds while the API is down.

    Raises:
        Unreachable: the API did not come back in time.
        DatabaseUnavailable: the database did not come back in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except OUTAGES:
            if time.monotonic() > deadline:
                raise


def submit(client: fitqueue.Client, kind: str, number: str) -> str:
    """Submit a job exactly once, however long the API is down; return its id."""
    while True:
        try:
            return client.submit(jobs.spec(kind, number)).id
        except OUTAGES:
            # The job may have been stored before the answer was lost, and a new call has a new idempotency key.
            stored = retry(lambda: list(client.list(labels={jobs.LABEL: number})))
            if stored:
                return stored[0].id


def count_open_jobs(client: fitqueue.Client) -> int:
    return len(retry(lambda: list(client.list(state=["queued", "running", "paused"]))))
