"""The bell: a Celery message that says «there is work in pool P», and nothing else.

The database is the truth. A message may be lost, doubled or late; a worker that hears one asks the database.
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
    """The Celery application as both senders and workers need it."""
    celery = Celery("fitqueue", broker=redis_url, set_as_current=False)
    celery.conf.update(
        # JSON only: a pickled message would be code.
        accept_content=["json"],
        task_serializer="json",
        # What became of a job stands in the database.
        task_ignore_result=True,
        # One attempt, bounded: a refused connection takes 0.01 s and a frozen Redis 1 s, instead of minutes.
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
    """Rings for workers. After a failure it is silent for five seconds: a dead Redis must not slow each request."""

    def __init__(self, redis_url: str) -> None:
        self._celery = make_celery(redis_url)
        self._muted_until = 0.0

    def notify(self, pool: str) -> bool:
        """Tells the workers of the pool; False where nobody could be told. Never raises; takes a second at most."""
        if time.monotonic() < self._muted_until:
            return False
        try:
            self._celery.send_task(TASK_NAME, kwargs={"pool": pool}, queue=queue_name(pool))
        except Exception as error:  # whatever goes wrong here, the job is stored and workers will find it
            self._mute(pool, error)
            return False
        return True

    def notify_unless_waiting(self, pool: str) -> bool:
        """As `notify`, where no bell waits: one that does will be heard by the next worker that has a slot free."""
        if time.monotonic() < self._muted_until:
            return False
        try:
            with self._celery.connection_for_write() as connection:
                waiting = connection.default_channel.client.llen(queue_name(pool))
        except Exception as error:  # each transport has its own kinds
            self._mute(pool, error)
            return False
        return bool(waiting) or self.notify(pool)

    def _mute(self, pool: str, error: Exception) -> None:
        self._muted_until = time.monotonic() + MUTE_SECONDS
        _logger.warning("The bell cannot be rung; workers find the job by asking.", extra=_words(pool, error))

    def check(self) -> str | None:
        """What is wrong with the bell, in words; None where it works. Takes a second at most."""
        try:
            with self._celery.connection_for_write() as connection:
                connection.default_channel.client.ping()
        except Exception as error:  # each transport has its own kinds
            return f"{type(error).__name__}: {error}"
        return None


def _words(pool: str, error: Exception) -> dict[str, Any]:
    return {"pool": pool, "error": f"{type(error).__name__}: {error}"}
