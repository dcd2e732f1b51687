"""How many requests each of several users may send in a minute."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock


@dataclass
class _Bucket:
    tokens: float
    filled_at: float


class TokenBuckets:
    """A token bucket for each holder: it holds a minute's worth, is refilled evenly, and each request takes one.

    Thread-safe. Each process counts for itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, holder: str, per_minute: int) -> bool:
        """Take a token from the bucket of the holder; return False if it is empty."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(holder, _Bucket(per_minute, now))
            bucket.tokens = min(bucket.tokens + (now - bucket.filled_at) * per_minute / 60, per_minute)
            bucket.filled_at = now
            if bucket.tokens < 1:
                return False
            bucket.tokens -= 1
            return True
