import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from service.queue import Notifier


@contextmanager
def _frozen_redis() -> Iterator[str]:
    """Run a server that accepts connections and never answers; yield its address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_frozen_redis_delays_only_the_first_notification() -> None:
    with _frozen_redis() as url:
        notifier = Notifier(url)
        started_at = time.monotonic()
        assert not notifier.notify("default")
        first = time.monotonic() - started_at
        started_at = time.monotonic()
        assert not any(notifier.notify("default") for _ in range(100))
        assert first < 5
        assert time.monotonic() - started_at < first
        assert notifier.probe() is not None


def test_the_probe_reports_a_dead_redis() -> None:
    notifier = Notifier("redis://127.0.0.1:1/0")
    assert not notifier.notify("default")
    assert "refused" in (notifier.probe() or "")


def test_a_notification_is_sent_to_the_queue_of_its_pool(redis_url: str) -> None:
    notifier = Notifier(redis_url)
    assert notifier.probe() is None
    assert notifier.notify("large")
    [message] = redis.Redis.from_url(redis_url).lrange("fitqueue.large", 0, -1)
    assert json.loads(message)["headers"]["task"] == "fitqueue.work"
