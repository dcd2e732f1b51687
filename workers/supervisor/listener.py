"""Receives notifications through Celery, in a thread of its own."""

import logging
from threading import Event, Thread
from typing import Final

from celery import Celery
from celery.worker import WorkController, state

from service.queue import TASK_NAME, Notifier, queue_name
from workers.supervisor.slots import SlotPool

_logger = logging.getLogger(__name__)

RESTART_SECONDS: Final = 5.0


def add_tasks(app: Celery, slot_pool: SlotPool, pools: tuple[str, ...], notifier: Notifier) -> None:
    """Make a notification start work in the slot pool, or send it again if no slot is free."""

    @app.task(name=TASK_NAME, shared=False)  # type: ignore[untyped-decorator] # Celery has no types
    def work(pool: str) -> None:
        """«There is work in this pool.» This is only a hint: a job in another pool may go first."""
        if not slot_pool.work() and pool in pools:
            notifier.notify_unless_waiting(pool)


class Listener:
    """Runs Celery in a thread, so that only the main thread decides when the worker stops.

    A message that Celery cannot read makes it fail. Then everything in the queues is deleted, which costs nothing: the
    database has all jobs, and notifications may be lost.
    """

    def __init__(self, app: Celery, pools: tuple[str, ...], stopping: Event) -> None:
        self._app = app
        self._queues = [queue_name(pool) for pool in pools]
        self._stopping = stopping
        self._thread = Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        state.should_stop = None  # Celery keeps it per process, not per controller
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to stop, and return at once. `stopping` must be set, so another notification does nothing."""
        state.should_stop = 0

    def stop(self, timeout: float) -> bool:
        """Stop listening; return whether that took at most `timeout` seconds. `stopping` must be set."""
        self.request_stop()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        # The pool's threads look up tasks in the default application, whatever application the controller has.
        self._app.set_default()
        while not self._stopping.is_set():
            try:
                self._make_controller().start()
            except Exception:
                _logger.exception("Celery failed; the worker finds jobs by polling the database.")
            # `start` returns when it was asked to stop, and after some failures that it logs itself.
            if not self._stopping.is_set():
                self._purge_queues()
                self._stopping.wait(RESTART_SECONDS)

    def _make_controller(self) -> WorkController:
        return WorkController(
            app=self._app,
            queues=self._queues,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )

    def _purge_queues(self) -> None:
        try:
            with self._app.connection_for_write() as connection:
                connection.default_channel.client.delete(*self._queues)
        except Exception as error:  # Redis may be what failed
            _logger.warning("The queues could not be emptied.", extra={"error": repr(error)})
