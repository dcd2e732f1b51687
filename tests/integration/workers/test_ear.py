"""The bell from one end to the other: a real sender, a real Redis, a real receiver."""

import queue
import socket
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any

import pytest
from kombu.transport.redis import QoS
from redis.exceptions import ConnectionError

from service.queue import Bell, queue_name
from workers import tasks
from workers.app import make_app
from workers.tasks import Ear, add_tasks

SECONDS = 30.0
POOLS = ("default", "big")


class Listening:
    """A station that does nothing but note for which pools it was called."""

    def __init__(self) -> None:
        self.heard: queue.Queue[list[str]] = queue.Queue()

    def work(self, pools: Sequence[str]) -> None:
        self.heard.put(list(pools))


@pytest.fixture
def station(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    """Listens on two pools. Redis need not run yet."""
    monkeypatch.setattr(tasks, "RESTART_SECONDS", 0.1)
    station, stopping = Listening(), Event()
    app = make_app(redis.url, POOLS, slots=1)
    add_tasks(app, station)  # type: ignore[arg-type]
    ear = Ear(app, POOLS, stopping)
    ear.start()
    yield station
    stopping.set()
    assert ear.stop(SECONDS)


@pytest.fixture
def ring(redis: Any, until: Callable[..., Any]) -> Callable[[str], None]:
    def ring(pool: str) -> None:
        until(lambda: Bell(redis.url).ring(pool))

    return ring


def rung_and_heard(redis: Any, station: Listening) -> Callable[[], bool]:
    """Whether a bell was heard since; each asking rings it again, for one that comes while Celery fails is lost."""

    def heard() -> bool:
        Bell(redis.url).ring("default")
        return not station.heard.empty()

    return heard


def test_a_bell_is_heard_and_names_its_pool(redis: Any, station: Listening, ring: Callable[[str], None]) -> None:
    redis.start()
    ring("default")
    ring("big")
    assert sorted(station.heard.get(timeout=SECONDS) for _ in range(2)) == [["big"], ["default"]]


def test_a_bell_is_heard_again_when_redis_comes_back(
    redis: Any, station: Listening, ring: Callable[[str], None], until: Callable[..., Any]
) -> None:
    redis.start()
    ring("default")
    assert station.heard.get(timeout=SECONDS) == ["default"]
    redis.stop()
    redis.start()
    until(rung_and_heard(redis, station))


@pytest.mark.parametrize(
    "message",
    [
        b"not json",
        b"{}",
        b'{"body": "%%%", "properties": {"body_encoding": "base64", "delivery_tag": "1", "delivery_info": '
        b'{"exchange": "", "routing_key": "x"}}, "headers": {}, "content-type": "application/json", '
        b'"content-encoding": "utf-8"}',
    ],
    ids=["not JSON", "no message", "bad base64"],
)
def test_a_message_that_cannot_be_read_does_not_make_deaf(
    message: bytes, redis: Any, station: Listening, ring: Callable[[str], None], until: Callable[..., Any]
) -> None:
    redis.start()
    ring("default")
    station.heard.get(timeout=SECONDS)
    name = queue_name("default").encode()
    with socket.create_connection(("127.0.0.1", redis.port)) as connection:
        parts = [b"LPUSH", name, message]
        connection.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        assert connection.recv(100).startswith(b":")
    until(rung_and_heard(redis, station))


def test_a_bell_is_heard_after_one_that_could_not_be_acknowledged(
    redis: Any, station: Listening, ring: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Redis is lost at that moment. To Celery the first bell would be worked at for ever."""

    def lost(*_: Any) -> None:
        raise ConnectionError("Redis is gone")

    monkeypatch.setattr(QoS, "ack", lost)
    redis.start()
    for _ in range(3):
        ring("default")
        assert station.heard.get(timeout=SECONDS) == ["default"]
