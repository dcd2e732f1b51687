"""How much each of several holders may have at the same time."""

from collections import Counter
from threading import Lock


class Quota:
    """Counts what each holder has, and gives no more than a limit for each, and for all together. Thread-safe."""

    def __init__(self, limit_each: int, limit_all: int | None = None) -> None:
        self._limit_each = limit_each
        self._limit_all = limit_all
        self._lock = Lock()
        self._held: Counter[str] = Counter()

    def acquire(self, holder: str) -> bool:
        """Take one for the holder; return False if that would exceed a limit."""
        with self._lock:
            if self._held[holder] >= self._limit_each:
                return False
            if self._limit_all is not None and self._held.total() >= self._limit_all:
                return False
            self._held[holder] += 1
            return True

    def release(self, holder: str) -> None:
        """Return one that the holder has acquired."""
        with self._lock:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
