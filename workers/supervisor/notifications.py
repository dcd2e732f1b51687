"""Tells the workers that jobs wait, whatever made them wait: a lost worker, a stopped one, GPUs that were in use."""

import logging

from fitqueue.errors import DatabaseUnavailable
from service.db import Database
from service.queue import Notifier
from service.store import leases

_logger = logging.getLogger(__name__)


def notify_pools_with_work(database: Database, notifier: Notifier) -> None:
    """Ring in each pool in which a job could be trained now, where no bell waits there already."""
    try:
        with database.read() as session:
            pools = leases.pools_with_work(session)
    except DatabaseUnavailable as error:
        _logger.warning("The workers could not be told; they ask.", extra={"error": str(error)})
        return
    for pool in pools:
        notifier.notify_unless_waiting(pool)
