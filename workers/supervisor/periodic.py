"""What a worker does again and again beside training. Each duty is a function that tests call by themselves."""

import logging
import random
from collections.abc import Callable
from threading import Event, Thread

from fitqueue.errors import DatabaseUnavailable

_logger = logging.getLogger(__name__)


class PeriodicTask:
    """Calls `run_once` about every `seconds`, in a thread, until `stopping` is set.

    With jitter, so that the workers of a cluster that was started as one do not ask the database as one.
    """

    def __init__(self, name: str, run_once: Callable[[], None], seconds: float, stopping: Event) -> None:
        self._run_once = run_once
        self._seconds = seconds
        self._stopping = stopping
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Wait at most so long for the thread to end."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._run_once()
            except DatabaseUnavailable as error:
                extra = {"periodic_task": self._thread.name, "error": str(error)}
                _logger.warning("The database is down; the duty is tried again.", extra=extra)
            except Exception:
                _logger.exception("A duty failed; it is tried again.", extra={"periodic_task": self._thread.name})
            self._stopping.wait(self._seconds * random.uniform(0.6, 1.4))  # noqa: S311 -- no secret hangs on it
