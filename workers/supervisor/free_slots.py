"""Counts the free slots of a worker."""

import time
from collections.abc import Callable
from threading import Lock


class FreeSlots:
    """How many slots are free, and since when none has changed. While they are closed, none is. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self.on_release: Callable[[], None] = lambda: None
        """Called after a slot became free."""
        self._lock = Lock()
        self._slots = self._count = slots
        self._is_closed = False
        self._changed_at = time.monotonic()

    @property
    def count(self) -> int:
        return 0 if self._is_closed else self._count

    @property
    def are_in_use(self) -> bool:
        """Whether any slot is taken."""
        return self._count < self._slots

    def acquire(self) -> bool:
        """Take a slot; return whether one was free."""
        with self._lock:
            if self.count == 0:
                return False
            self._change(-1)
            return True

    def release(self) -> None:
        """Make the slot free that was taken."""
        with self._lock:
            self._change(1)
        self.on_release()

    def close(self) -> None:
        """Let no more slots be taken. Those that are taken stay so until they are released."""
        with self._lock:
            self._is_closed = True

    def open(self) -> None:
        """Let slots be taken again."""
        with self._lock:
            if not self._is_closed:
                return
            self._is_closed = False
            self._changed_at = time.monotonic()
        self.on_release()

    def idle(self, seconds: float) -> int:
        """Return how many slots have been free for so long; none if a slot was taken or became free since."""
        with self._lock:
            return self.count if time.monotonic() - self._changed_at >= seconds else 0

    def _change(self, by: int) -> None:
        self._count += by
        self._changed_at = time.monotonic()
