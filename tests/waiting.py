"""Waiting for a condition, with a time limit."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any, Final

ANSWER_SECONDS: Final = 240.0
"""How long a test waits for an answer over HTTP. The 5 s of httpx are too short for a busy machine."""


class NotInTime(AssertionError):
    """A condition did not become true in time."""


def until(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.05) -> Any:
    """Wait until the condition is true, and return its value.

    Args:
        condition: called again and again.
        seconds: the time limit.
        what: the condition in words, for the error message.
        pause: seconds between two calls.

    Raises:
        NotInTime: it did not become true within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise NotInTime(f"{what}: not within {seconds:g} s")
        Event().wait(pause)
    return value
