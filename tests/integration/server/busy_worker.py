"""A server whose main loop takes long for each round, as that of a busy one does."""

import os
import time

from service.server.worker import BoundedThreadWorker

ROUND_SECONDS = float(os.environ["TEST_ROUND_SECONDS"])


class BusyWorker(BoundedThreadWorker):
    """Comes late to the connections that have waited too long."""

    def murder_keepalived(self, force: bool = False) -> None:
        time.sleep(ROUND_SECONDS)
        super().murder_keepalived(force)
