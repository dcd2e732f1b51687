"""The queue in front of the model checker. It is bounded, because whoever stands in it holds a thread of the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.quota import Quota

MAX_CHECKS: Final = 32
"""Checks that run or wait at the same time: half of the API's threads."""

MAX_PER_USER: Final = 16


class CheckQueue:
    """Counts the checks that run or wait. Thread-safe."""

    def __init__(self, limit: int = MAX_CHECKS, limit_per_user: int = MAX_PER_USER) -> None:
        self._quota = Quota(limit_per_user, limit)

    @contextmanager
    def admitted(self, user_id: str) -> Iterator[bool]:
        """Stand in the queue inside the block; yield False at once if it is full, or full of this user's requests."""
        if not self._quota.acquire(user_id):
            yield False
            return
        try:
            yield True
        finally:
            self._quota.release(user_id)
