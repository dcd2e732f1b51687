"""The slots of a worker: each takes a job, has it trained, and takes the next, until none waits."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Final

from fitqueue.errors import DatabaseUnavailable
from service.queue import Notifier
from service.store import leases
from service.store.leases import ClaimedJob
from workers.supervisor.devices import ListGPUs
from workers.supervisor.notifications import notify_pools_with_work
from workers.supervisor.supervisor import Supervisor, WorkerContext

_logger = logging.getLogger(__name__)

# What breaks one job here may break every job; without a pause each would be claimed and given back as fast as the
# database can.
FAILURE_PAUSE_SECONDS: Final = 30.0


class SlotPool:
    """Thread-safe. Whoever learns that there may be work calls `work`, on a thread that it can spare."""

    def __init__(
        self,
        place: WorkerContext,
        worker_id: str,
        pools: Sequence[str],
        slots: int,
        list_gpus: ListGPUs,
        notifier: Notifier,
    ) -> None:
        self._place = place
        self._worker_id = worker_id
        self._pools = tuple(pools)
        self._slots = BoundedSemaphore(slots)
        self._list_gpus = list_gpus
        self._notifier = notifier
        # One look waits for a slot at most: the poller asks for one every few seconds, and trainings take hours.
        self._waiting = BoundedSemaphore(1)
        self._looking = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="slot")

    def work(self) -> None:
        """Train jobs of the pools that the worker serves, while a slot is free and one waits."""
        while not self._place.stopping.is_set() and self._slots.acquire(blocking=False):
            try:
                trained = self._train_one()
            except DatabaseUnavailable:
                raise
            except Exception:
                _logger.exception("A job could not be trained here, and was given back.")
                self._place.stopping.wait(FAILURE_PAUSE_SECONDS)
                return
            finally:
                self._slots.release()
            if not trained:
                return

    def look(self) -> None:
        """Ask the database for work, on a thread of the station's own."""
        if not self._place.stopping.is_set() and self._waiting.acquire(blocking=False):
            self._looking.submit(self._look)

    def close(self) -> None:
        """Return when the last job that `look` found was given back. `stopping` must be set."""
        self._looking.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        self._waiting.release()
        try:
            self.work()
        except DatabaseUnavailable as error:
            _logger.warning("The database is down; asking again soon.", extra={"error": str(error)})
        except Exception:
            _logger.exception("A slot failed; its job goes to another attempt.")

    def _train_one(self) -> bool:
        claimed = self._claim()
        if claimed is None:
            return False
        _logger.info("A job was taken.", extra={"job": claimed.lease.job_id, "attempt": claimed.lease.attempt})
        self.look()  # where one job waits there may be more, and another slot for them
        try:
            Supervisor(self._place, claimed).run()
        finally:
            # It may wait again, and what another waits for, in whichever pool, may be its GPUs.
            notify_pools_with_work(self._place.database, self._notifier)
        return True

    def _claim(self) -> ClaimedJob | None:
        seen = [gpu.seen() for gpu in self._list_gpus()]
        with self._place.database.write() as session:
            return leases.claim(session, self._worker_id, self._pools, seen, self._place.lease_seconds)
