"""The queue in front of the model checker. It is bounded, because whoever stands in it holds a thread of the API."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

MAX_CHECKS: Final = 32
"""Checks that run or wait at the same time: half of the API's threads."""

MAX_PER_TOKEN: Final = 16


class CheckQueue:
    """Counts the checks that run or wait. Thread-safe."""

    def __init__(self, limit: int = MAX_CHECKS, limit_per_token: int = MAX_PER_TOKEN) -> None:
        self._limit = limit
        self._limit_per_token = limit_per_token
        self._lock = Lock()
        self._per_token: Counter[str] = Counter()

    @contextmanager
    def admitted(self, token_id: str) -> Iterator[bool]:
        """Stand in the queue inside the block; yield False at once if it is full, or full of this token's requests."""
        if not self._enter(token_id):
            yield False
            return
        try:
            yield True
        finally:
            self._leave(token_id)

    def _enter(self, token_id: str) -> bool:
        with self._lock:
            if self._per_token.total() >= self._limit or self._per_token[token_id] >= self._limit_per_token:
                return False
            self._per_token[token_id] += 1
            return True

    def _leave(self, token_id: str) -> None:
        with self._lock:
            self._per_token[token_id] -= 1
            if not self._per_token[token_id]:
                del self._per_token[token_id]
