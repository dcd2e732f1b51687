"""Notifies workers of queued jobs, whatever put them there: a dead worker, a stopped one, GPUs that became free."""

import logging

from fitqueue.errors import DatabaseUnavailable
from service.db import Database
from service.queue import Notifier
from service.store import leases

_logger = logging.getLogger(__name__)


def notify_pools_with_work(database: Database, notifier: Notifier) -> None:
    """Notify each pool with a job that may be claimed now, unless a notification is waiting there already."""
    try:
        with database.read() as session:
            pools = leases.pools_with_work(session)
    except DatabaseUnavailable as error:
        _logger.warning("Workers could not be notified; they find jobs by polling.", extra={"error": str(error)})
        return
    for pool in pools:
        notifier.notify_unless_waiting(pool)
