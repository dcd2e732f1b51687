"""Repairs that are made some time after a move: what is frozen is thawed, what is down is started."""

import time
from collections.abc import Callable


class Repairs:
    """Repairs that wait for their time. One thread uses them."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, Callable[[], None]]] = []

    def add(self, seconds: float, repair: Callable[[], None]) -> None:
        """Have the repair made after this many seconds."""
        self._waiting.append((time.monotonic() + seconds, repair))

    def make_due(self) -> None:
        """Make the repairs whose time has come."""
        now = time.monotonic()
        due = [repair for at, repair in self._waiting if at <= now]
        self._waiting = [(at, repair) for at, repair in self._waiting if at > now]
        for repair in due:
            repair()

    def make_all(self) -> None:
        """Make all repairs now, in the order of their times."""
        for _, repair in sorted(self._waiting, key=lambda waiting: waiting[0]):
            repair()
