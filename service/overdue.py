"""Ends the jobs that no worker has claimed in time.

Workers do it every second, and so does the API while it is used: the usual reason for such a wait is that no worker is
alive, and then users must not be told that the job still waits.
"""

import time
from threading import Lock
from typing import Final

from service.db import Database
from service.store import queue_deadlines

INTERVAL_SECONDS: Final = 1.0


def end_overdue(database: Database, lease_seconds: float) -> None:
    """End the jobs that have been queued for longer than they may.

    Raises:
        DatabaseUnavailable: nobody can tell.
    """
    with database.read() as session:
        if not queue_deadlines.any_overdue(session):
            return
    with database.write() as session:
        queue_deadlines.end_overdue(session, lease_seconds)


class OverdueJobs:
    """Ends overdue jobs at most once in a second, however often it is asked to. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next_at = 0.0

    def end(self, database: Database, lease_seconds: float) -> None:
        """End what is overdue, unless that was done a moment ago or another thread does it now.

        Raises:
            DatabaseUnavailable: nobody can tell.
        """
        if time.monotonic() < self._next_at or not self._lock.acquire(blocking=False):
            return
        try:
            end_overdue(database, lease_seconds)
            self._next_at = time.monotonic() + INTERVAL_SECONDS
        finally:
            self._lock.release()
