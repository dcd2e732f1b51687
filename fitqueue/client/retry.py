"""How long to keep trying while a service does not answer, and how long to pause between two tries."""

import logging
import random
import time

logger = logging.getLogger("fitqueue.client")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LONGEST_REQUESTED_PAUSE = 30.0

WARN_FROM = 60.0
"""Seconds of budget from which an outage is logged. Where the budget is smaller, the error itself comes soon enough."""


def pause_before(retry: int, requested: str | None, jitter: float) -> float:
    """Return how many seconds to pause before a retry: what the service asks for, or else a pause that doubles.

    Args:
        retry: the number of the retry, counted from 1.
        requested: the header `Retry-After`. A date in it is ignored, because clocks differ.
        jitter: a random number from 0 to 1, which varies the upper half of the pause.
    """
    if requested is not None and requested.isdecimal():
        return min(float(requested), LONGEST_REQUESTED_PAUSE)
    longest = min(FIRST_PAUSE * 2.0 ** min(retry, 16), LONGEST_PAUSE)
    return longest / 2 * (1 + jitter)


class RetryBudget:
    """The time during which one outage is retried."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._retries = 0

    def pause(self, problem: str, requested: str | None = None) -> bool:
        """Sleep before the next retry and return True; return False at once if the budget does not cover the pause.

        Args:
            problem: what went wrong, for the log.
            requested: the header `Retry-After`, where the service answered.
        """
        self._retries += 1
        seconds = pause_before(self._retries, requested, random.random())  # noqa: S311 - spreads load, guards nothing
        if time.monotonic() + seconds > self._deadline:
            return False
        if self._retries == 2 and self._seconds >= WARN_FROM:  # most outages are over after the first retry
            logger.warning("%s; trying again for up to %.0f s", problem, self._seconds)
        time.sleep(seconds)
        return True
