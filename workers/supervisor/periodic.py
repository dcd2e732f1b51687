"""What a worker does periodically while its jobs train."""

import logging
import random
from collections.abc import Callable
from threading import Event, Thread

from fitqueue.errors import DatabaseUnavailable

_logger = logging.getLogger(__name__)


class PeriodicTask:
    """Calls `run_once` about every `seconds` seconds, in a thread, until `stopping` is set.

    The interval is random within 40 %, so that workers that were started together do not query the database together.
    """

    def __init__(self, name: str, run_once: Callable[[], None], seconds: float, stopping: Event) -> None:
        self._run_once = run_once
        self._seconds = seconds
        self._stopping = stopping
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait at most this many seconds for the thread to end; return whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._run_once()
            except DatabaseUnavailable as error:
                extra = {"periodic_task": self._thread.name, "error": str(error)}
                _logger.warning("The database is down; the periodic task will be tried again.", extra=extra)
            except Exception:
                extra = {"periodic_task": self._thread.name}
                _logger.exception("A periodic task failed; it will be tried again.", extra=extra)
            self._stopping.wait(self._seconds * random.uniform(0.6, 1.4))  # noqa: S311 -- jitter is not a secret
