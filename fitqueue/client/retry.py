"""How long to go on when a service does not answer, and how long to pause between two tries."""

import logging
import random
import time

logger = logging.getLogger("fitqueue.client")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LONGEST_REQUESTED_PAUSE = 30.0
TOLD_FROM = 60.0


def pause_before(retry: int, requested: str | None, jitter: float) -> float:
    """Seconds to wait before the n-th retry (from 1): what `Retry-After` asks for, else doubling, half of it by chance.

    `jitter` lies between 0 and 1. A date in `Retry-After` is not understood: clocks differ.
    """
    if requested is not None and requested.isdecimal():
        return min(float(requested), LONGEST_REQUESTED_PAUSE)
    longest = min(FIRST_PAUSE * 2.0 ** min(retry, 16), LONGEST_PAUSE)
    return longest / 2 * (1 + jitter)


class RetryBudget:
    """Counts one outage: `pause()` sleeps and says True as long as there is patience left."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._retries = 0

    def pause(self, trouble: str, requested: str | None = None) -> bool:
        self._retries += 1
        seconds = pause_before(self._retries, requested, random.random())  # noqa: S311 - spreads load, guards nothing
        if time.monotonic() + seconds > self._until:
            return False
        # The first retry mostly helps; and where patience is short, the error itself comes soon enough.
        if self._retries == 2 and self._seconds >= TOLD_FROM:
            logger.warning("%s; trying again for up to %.0f s", trouble, self._seconds)
        time.sleep(seconds)
        return True
