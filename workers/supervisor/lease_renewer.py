"""Renews the lease of one attempt, and learns from each renewal what users have asked of the job.

This happens in a thread, because the supervisor may be busy for longer than a lease: storing a large file takes time.
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
from service.store.leases import Lease, LeaseLost, StopRequests
from workers.shared.protocol import Renewed
from workers.supervisor.child import Child, ChildNotReading
from workers.supervisor.usage_meter import UsageMeter

_logger = logging.getLogger(__name__)

RENEWAL_SECONDS: Final = 2.0
"""More often than a lease needs, because a renewal also reads what users have asked."""

_MARGIN: Final = 0.1
"""A fraction of the lease: the child counts from when it reads `renewed`, the database from before the renewal."""


class LeaseRenewer:
    """A context manager that renews a lease inside its block, unless the lease is lost or the supervisor hangs."""

    def __init__(self, database: Database, lease: Lease, lease_seconds: float, hang_timeout: float) -> None:
        """Prepare the thread.

        Args:
            hang_timeout: after how many seconds without a call of `verify` the supervisor counts as hanging.
        """
        self.requests = StopRequests()
        """What users have asked of the job, as of the last renewal."""
        self._database = database
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._hang_timeout = hang_timeout
        self._checked_in_at = time.monotonic()
        self._child: Child | None = None
        self._meter: UsageMeter | None = None
        self._is_lost = False
        self._leaving = Event()
        self._thread = Thread(target=self._run, name="lease", daemon=True)

    @property
    def child_seconds(self) -> float:
        """How long a child may train after the last renewal that it read: less than the lease lasts."""
        return self._lease_seconds * (1 - _MARGIN)

    def watch(self, child: Child, meter: UsageMeter) -> None:
        """Tell the child about each renewal from now on, and store with it what the child has used."""
        self._child = child
        self._meter = meter

    def renew(self) -> None:
        """Renew the lease now.

        Raises:
            LeaseLost: the attempt no longer holds the job.
            DatabaseUnavailable: nobody can tell.
        """
        began = time.monotonic()
        measured = self._meter.used if self._meter is not None else None
        with self._database.write() as session:
            requests = leases.renew(session, self._lease, self._lease_seconds, measured)
        if requests is None:
            self._is_lost = True
            raise LeaseLost("the lease could not be renewed")
        self.requests = requests
        if self._child is not None and time.monotonic() - began <= self._lease_seconds * _MARGIN:
            with suppress(ChildNotReading):  # then it exits by itself
                self._child.send(Renewed(), timeout=0)

    def check_in(self) -> None:
        """Note that the supervisor does not hang, and raise if the lease is lost.

        Raises:
            LeaseLost: the attempt no longer holds the job.
        """
        self._checked_in_at = time.monotonic()
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
        # The log fields that the supervisor's thread has bound are not bound in this one.
        with bound(job=self._lease.job_id, attempt=self._lease.attempt):
            self._renew_repeatedly()

    def _renew_repeatedly(self) -> None:
        while not self._leaving.wait(min(RENEWAL_SECONDS, self._lease_seconds / 3)):
            if time.monotonic() - self._checked_in_at > self._hang_timeout:
                _logger.error("The supervisor hangs; its lease is no longer renewed.")
                return
            try:
                self.renew()
            except LeaseLost:
                return
            except DatabaseUnavailable as error:
                _logger.warning("The lease cannot be renewed; trying again.", extra={"error": str(error)})
