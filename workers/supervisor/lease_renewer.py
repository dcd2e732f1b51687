"""Keeps the lease of one attempt while its supervisor is busy, and hears on the way what users have asked for.

In a thread, and not in the supervisor's loop: to store a large file, or to read it back, takes longer than a lease.
"""

import logging
import time
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from fitqueue.errors import DatabaseUnavailable
from service.db import Database
from service.logs import bound
from service.store import leases
from service.store.leases import Lease, LeaseLost, Renewal
from workers.shared.protocol import Renewed
from workers.supervisor.fork_server import Child, ChildNotReading

_logger = logging.getLogger(__name__)

# A renewal is also how wishes are read, so it is more frequent than the lease alone needs.
RENEWAL_SECONDS: Final = 2.0
# Of the lease: the child counts from when it hears of a renewal, the database from before it was asked.
_MARGIN: Final = 0.1


class LeaseRenewer:
    """A context manager; the lease is renewed until it is left, or lost, or its supervisor seems to hang."""

    def __init__(self, database: Database, lease: Lease, lease_seconds: float, timeouts: float) -> None:
        """`timeouts`: how many seconds the supervisor may go without a `check`."""
        self.actions = Renewal(cancel_requested=False, pause_requested=False)
        self._database = database
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._timeouts = timeouts
        self._checked_at = time.monotonic()
        self._child: Child | None = None
        self._is_lost = False
        self._leaving = Event()
        self._thread = Thread(target=self._run, name="lease", daemon=True)

    @property
    def child_seconds(self) -> float:
        """How long a child may train after it heard of a renewal: less than the lease lasts."""
        return self._lease_seconds * (1 - _MARGIN)

    def watch(self, child: Child) -> None:
        """Tell the child of each renewal from now on."""
        self._child = child

    def renew(self) -> None:
        """Now. Raises LeaseLost, DatabaseUnavailable."""
        began = time.monotonic()
        with self._database.write() as session:
            renewal = leases.renew(session, self._lease, self._lease_seconds)
        if renewal is None:
            self._is_lost = True
        self.check()
        assert renewal is not None
        self.actions = renewal
        if self._child is not None and time.monotonic() - began <= self._lease_seconds * _MARGIN:
            with suppress(ChildNotReading):  # one that does not read ends itself
                self._child.send(Renewed(), seconds=0)

    def check(self) -> None:
        """Raises LeaseLost."""
        self._checked_at = time.monotonic()
        if self._is_lost:
            raise LeaseLost("the lease could not be renewed")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()

    def _run(self) -> None:
        # What the supervisor's thread has bound is not bound in this one.
        with bound(job=self._lease.job_id, attempt=self._lease.attempt):
            self._keep()

    def _keep(self) -> None:
        while not self._leaving.wait(min(RENEWAL_SECONDS, self._lease_seconds / 3)):
            if time.monotonic() - self._checked_at > self._timeouts:
                _logger.error("The supervisor hangs; its lease is kept no longer.")
                return
            try:
                self.renew()
            except LeaseLost:
                return
            except DatabaseUnavailable as error:
                _logger.warning("The lease cannot be renewed; trying again.", extra={"error": str(error)})
