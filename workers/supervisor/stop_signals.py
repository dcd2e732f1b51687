"""The signals that ask a worker to stop."""

import os
import signal
from threading import Event
from types import FrameType


class StopSignals:
    """What SIGTERM and SIGINT have asked of this process."""

    def __init__(self) -> None:
        self.asked = Event()
        """Set by the first signal."""
        self.hurried = Event()
        """Set by SIGINT, and by a second signal: the jobs are requeued at once."""

    def install(self) -> None:
        """Handle the signals of this process. It must be called in the main thread."""
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- the signature of a handler
        if self.asked.is_set() and number == signal.SIGINT:
            # Whoever presses Ctrl-C twice does not want to wait. The children exit by themselves.
            os._exit(128 + number)
        if self.asked.is_set() or number == signal.SIGINT:
            self.hurried.set()
        self.asked.set()
