"""The slots of a worker. Each claims a job, has it trained, and claims the next one, until none is queued."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Final

from fitqueue.errors import DatabaseUnavailable
from service.queue import Notifier
from service.store import leases
from service.store.leases import ClaimedJob
from workers.supervisor.context import WorkerContext
from workers.supervisor.devices import ListGPUs
from workers.supervisor.free_slots import FreeSlots
from workers.supervisor.notifications import notify_pools_with_work
from workers.supervisor.storage_calls import is_outage
from workers.supervisor.supervisor import Supervisor

_logger = logging.getLogger(__name__)

FAILURE_PAUSE_SECONDS: Final = 30.0
"""Whatever broke one job on this worker may break every job. Without a pause, the worker would claim and requeue jobs
as fast as the database can."""
OUTAGE_PAUSE_SECONDS: Final = 5.0
"""The same after an outage of the storage. The jobs wait longer themselves, so each is claimed only now and then."""


class SlotPool:
    """Trains as many jobs at a time as the worker has slots. Thread-safe."""

    def __init__(
        self,
        context: WorkerContext,
        worker_id: str,
        pools: Sequence[str],
        slots: FreeSlots,
        list_gpus: ListGPUs,
        notifier: Notifier,
    ) -> None:
        self._context = context
        self._worker_id = worker_id
        self._pools = tuple(pools)
        self._slots = slots
        self._list_gpus = list_gpus
        self._notifier = notifier
        # At most one call waits for a thread: the poller starts one every few seconds, and trainings take hours.
        self._is_waiting = BoundedSemaphore(1)
        self._executor = ThreadPoolExecutor(max_workers=slots.count, thread_name_prefix="slot")

    def work(self) -> bool:
        """Train jobs in the calling thread, while a slot is free and a job is queued.

        Returns:
            Whether a slot was free at first.

        Raises:
            DatabaseUnavailable: no job could be claimed.
        """
        was_free = False
        while not self._context.stopping.is_set() and self._slots.acquire():
            was_free = True
            try:
                has_trained = self._train_one()
            except DatabaseUnavailable:
                raise
            except Exception as error:
                _logger.exception("A job could not be trained on this worker.")
                self._context.stopping.wait(OUTAGE_PAUSE_SECONDS if is_outage(error) else FAILURE_PAUSE_SECONDS)
                return True
            finally:
                self._slots.release()
            if not has_trained:
                break
        return was_free

    def start_work(self) -> None:
        """Call `work` in a thread of the pool, unless a call is waiting for one already."""
        if not self._context.stopping.is_set() and self._is_waiting.acquire(blocking=False):
            self._executor.submit(self._work_in_thread)

    def close(self) -> None:
        """Return when the last job of the pool's threads has left the worker. `stopping` must be set."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _work_in_thread(self) -> None:
        self._is_waiting.release()
        try:
            self.work()
        except DatabaseUnavailable as error:
            _logger.warning("The database is down; asking again soon.", extra={"error": str(error)})
        except Exception:
            _logger.exception("A slot failed; another attempt gets its job.")

    def _train_one(self) -> bool:
        claimed = self._claim()
        if claimed is None:
            return False
        _logger.info("A job was claimed.", extra={"job": claimed.lease.job_id, "attempt": claimed.lease.attempt})
        self.start_work()  # there may be more jobs, and another free slot
        try:
            Supervisor(self._context, claimed).run()
        finally:
            # The job may be queued again, and a job of any pool may have waited for its GPUs.
            notify_pools_with_work(self._context.database, self._notifier)
        return True

    def _claim(self) -> ClaimedJob | None:
        gpus = [gpu.to_visible() for gpu in self._list_gpus()]
        with self._context.database.write() as session:
            context = self._context
            return leases.claim(session, self._worker_id, self._pools, gpus, context.lease_seconds, context.turns_by)
