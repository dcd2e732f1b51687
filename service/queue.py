"""Notifications: a Celery message that says «there is work in pool P», and nothing else.

The database is the truth. A message may be lost, doubled or late; a worker that gets one asks the database.
"""

import logging
import time
from typing import Any, Final

from celery import Celery

TASK_NAME: Final = "fitqueue.work"
MUTE_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


def queue_name(pool: str) -> str:
    return f"fitqueue.{pool}"


def make_celery(redis_url: str) -> Celery:
    """Return the Celery application, as both senders and workers need it."""
    celery = Celery("fitqueue", broker=redis_url, set_as_current=False)
    celery.conf.update(
        # JSON only: a pickled message would be code.
        accept_content=["json"],
        task_serializer="json",
        # The database has the results of jobs.
        task_ignore_result=True,
        # One try with a timeout: a refused connection takes 0.01 s and a frozen Redis 1 s, instead of minutes.
        task_publish_retry=False,
        broker_connection_timeout=1,
        broker_transport_options={
            "socket_connect_timeout": 0.5,
            "socket_timeout": 1.0,
            "max_retries": 0,
            "retry_on_timeout": False,
        },
    )
    return celery


class Notifier:
    """Notifies workers. After a failure it stays mute for five seconds, so a dead Redis does not slow each request."""

    def __init__(self, redis_url: str) -> None:
        self._celery = make_celery(redis_url)
        self._muted_until = 0.0

    def notify(self, pool: str) -> bool:
        """Notify the workers of the pool; False if that failed. Never raises, and takes at most a second."""
        if time.monotonic() < self._muted_until:
            return False
        try:
            self._celery.send_task(TASK_NAME, kwargs={"pool": pool}, queue=queue_name(pool))
        except Exception as error:  # whatever went wrong, the job is stored and workers will find it
            self._mute(pool, error)
            return False
        return True

    def notify_unless_waiting(self, pool: str) -> bool:
        """Notify the workers, unless a notification is waiting already: the next worker with a free slot gets that."""
        if time.monotonic() < self._muted_until:
            return False
        try:
            with self._celery.connection_for_write() as connection:
                waiting = connection.default_channel.client.llen(queue_name(pool))
        except Exception as error:  # each transport has its own exceptions
            self._mute(pool, error)
            return False
        return bool(waiting) or self.notify(pool)

    def probe(self) -> str | None:
        """Return what is wrong with Redis, for people; None if it answers. Takes at most a second."""
        try:
            with self._celery.connection_for_write() as connection:
                connection.default_channel.client.ping()
        except Exception as error:  # each transport has its own exceptions
            return f"{type(error).__name__}: {error}"
        return None

    def _mute(self, pool: str, error: Exception) -> None:
        self._muted_until = time.monotonic() + MUTE_SECONDS
        extra: dict[str, Any] = {"pool": pool, "error": f"{type(error).__name__}: {error}"}
        _logger.warning("Workers cannot be notified; they find jobs by polling.", extra=extra)
