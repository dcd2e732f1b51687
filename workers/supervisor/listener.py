"""What a worker does when the bell rings, and the thread that listens for it."""

import logging
from threading import Event, Thread
from typing import Final

from celery import Celery
from celery.worker import WorkController, state

from service.queue import TASK_NAME, queue_name
from workers.supervisor.slots import SlotPool

_logger = logging.getLogger(__name__)

RESTART_SECONDS: Final = 5.0


def add_tasks(app: Celery, slot_pool: SlotPool) -> None:
    @app.task(name=TASK_NAME, shared=False)  # type: ignore[untyped-decorator] # Celery has no types
    def work(pool: str) -> None:  # noqa: ARG001 -- it is in the message
        """«There is work in this pool.» The message has no authority: in another one may wait what goes first."""
        slot_pool.work()


class Listener:
    """Listens for the bell in a thread of its own, so that the main thread alone decides when the worker ends.

    A message that Celery cannot read makes it fail. Then whatever waits in the queues is thrown away, which costs
    nothing: the database knows all jobs, and bells without authority can be lost.
    """

    def __init__(self, app: Celery, pools: tuple[str, ...], stopping: Event) -> None:
        self._app = app
        self._queues = [queue_name(pool) for pool in pools]
        self._stopping = stopping
        self._thread = Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        state.should_stop = None  # Celery keeps it for the process, not for the controller
        self._thread.start()

    def begin_to_stop(self) -> None:
        """Return at once. It may hear one more bell, for which it does nothing. `stopping` must be set."""
        state.should_stop = 0

    def stop(self, seconds: float) -> bool:
        """Stop listening; whether it could be done in the time, tasks included. `stopping` must be set."""
        self.begin_to_stop()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        # The pool's threads look for their tasks in the default application, whatever the controller's is.
        self._app.set_default()
        while not self._stopping.is_set():
            try:
                self._make_controller().start()
            except Exception:
                _logger.exception("Celery failed; the worker goes on by asking the database.")
            # It comes back when it is to stop, and after some failures that it logs itself.
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
