"""Waiting for what must come, with a bound."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any


class NotInTime(AssertionError):
    """What had to come did not."""


def until(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.05) -> Any:
    """Looks again and again until something is true; what it was then."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise NotInTime(f"{what}: not within {seconds:g} s")
        Event().wait(pause)
    return found
