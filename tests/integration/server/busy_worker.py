"""A busy server: each round of its main loop takes long, and no thread has time to wait for the rest of a body."""

import os
import time

from service.server import worker
from service.server.worker import BoundedThreadWorker

ROUND_SECONDS = float(os.environ["TEST_ROUND_SECONDS"])
worker.DRAIN_SECONDS = 0.0  # type: ignore[misc]


class BusyWorker(BoundedThreadWorker):
    """Comes late to the connections that have waited too long."""

    def murder_keepalived(self, force: bool = False) -> None:
        time.sleep(ROUND_SECONDS)
        super().murder_keepalived(force)
