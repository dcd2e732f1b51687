"""Drains a worker: it claims no more jobs, and those that it trains end, or are requeued after some time.

A user drains it through the API, which writes that to the database; a claim asks there (`workers.may_claim`), and a
renewal of a lease learns when the time is over. A worker that shuts down drains itself.
"""

import logging
import time
from threading import Event, Lock, Thread
from typing import Final

from fitqueue.errors import DatabaseUnavailable, WorkerNotFound
from service.db import Database
from service.store import workers
from workers.supervisor.free_slots import FreeSlots

_logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2


class Drain:
    """Closes the slots of a worker while it drains, so that it leaves notifications to other workers. Thread-safe."""

    def __init__(self, database: Database, worker_id: str, slots: FreeSlots) -> None:
        self._database = database
        self._worker_id = worker_id
        self._slots = slots
        self._lock = Lock()
        self._shuts_down = False

    def update(self) -> None:
        """Close or open the slots, as users have asked."""
        with self._database.read() as session:
            is_draining = workers.is_draining(session, self._worker_id)
        with self._lock:
            if is_draining or self._shuts_down:
                self._slots.close()
            else:
                self._slots.open()

    def shut_down(self, seconds: float, hurried: Event) -> None:
        """Drain for good, and return when no slot is taken, or the time is over, or `hurried` is set."""
        with self._lock:
            self._shuts_down = True
            self._slots.close()
        # The database may be down, and the time in which a container must stop is short.
        Thread(target=self._announce, args=[seconds], name="drain", daemon=True).start()
        deadline = time.monotonic() + seconds
        while self._slots.are_in_use and (left := deadline - time.monotonic()) > 0:
            if hurried.wait(min(_POLL_SECONDS, left)):
                return

    def _announce(self, seconds: float) -> None:
        try:
            with self._database.write() as session:
                workers.drain(session, self._worker_id, seconds)
        except (DatabaseUnavailable, WorkerNotFound) as error:
            _logger.warning("The worker drains, and could not tell that to users.", extra={"error": str(error)})
