"""Notifications from end to end: a real sender, a real Redis, a real receiver."""

import base64
import json
import pickle
import queue
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from kombu.transport.redis import QoS
from redis import Redis
from redis.exceptions import ConnectionError

from service.queue import TASK_NAME, Notifier, queue_name
from workers.supervisor import listener
from workers.supervisor.celery_app import make_app
from workers.supervisor.context import Timeouts
from workers.supervisor.listener import Listener, add_tasks
from workers.supervisor.worker import LISTENER_STOP_SECONDS

SECONDS = 120.0
POOLS = ("default", "big")


class RecordingSlotPool:
    """A slot pool that only records its calls."""

    def __init__(self) -> None:
        self.calls: queue.Queue[None] = queue.Queue()

    def work(self) -> bool:
        self.calls.put(None)
        return True


@pytest.fixture
def slot_pool(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingSlotPool]:
    """A slot pool whose listener serves two pools. Redis need not run yet."""
    monkeypatch.setattr(listener, "RESTART_SECONDS", 0.1)
    slot_pool, stopping = RecordingSlotPool(), Event()
    app = make_app(redis.url, POOLS, slots=1)
    add_tasks(app, slot_pool, POOLS, Notifier(redis.url))  # type: ignore[arg-type]
    pool_listener = Listener(app, POOLS, stopping)
    pool_listener.start()
    yield slot_pool
    stopping.set()
    assert pool_listener.stop(SECONDS)


@pytest.fixture
def notify(redis: Any, until: Callable[..., Any]) -> Callable[[str], None]:
    def notify(pool: str) -> None:
        until(lambda: Notifier(redis.url).notify(pool))

    return notify


def notified(redis: Any, slot_pool: RecordingSlotPool, pool: str = "default") -> Callable[[], bool]:
    """Return a function that notifies and tells whether a notification arrived: one may be lost while Celery fails."""
    while not slot_pool.calls.empty():
        slot_pool.calls.get()

    def was_called() -> bool:
        Notifier(redis.url).notify(pool)
        return not slot_pool.calls.empty()

    return was_called


@pytest.mark.parametrize("pool", POOLS)
def test_a_notification_arrives_in_each_pool(
    pool: str, redis: Any, slot_pool: RecordingSlotPool, notify: Callable[[str], None]
) -> None:
    redis.start()
    notify(pool)
    slot_pool.calls.get(timeout=SECONDS)


def test_a_job_in_the_listener_s_thread_has_the_time_that_a_supervisor_may_take() -> None:
    assert Timeouts().kill + Timeouts().uploads < LISTENER_STOP_SECONDS < 60


def test_notifications_arrive_again_when_redis_is_back(
    redis: Any, slot_pool: RecordingSlotPool, notify: Callable[[str], None], until: Callable[..., Any]
) -> None:
    redis.start()
    notify("default")
    slot_pool.calls.get(timeout=SECONDS)
    redis.stop()
    redis.start()
    until(notified(redis, slot_pool))


def message(body: object = ([], {"pool": "default"}, {}), **changes: Any) -> bytes:
    """Return a notification as Celery queues it, with some members replaced or, if they are None, removed."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    members = {
        "body": base64.b64encode(text).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK_NAME, "id": "i", "root_id": "i", "parent_id": None, "group": None},
        "properties": {
            "correlation_id": "i", "delivery_mode": 2, "priority": 0, "body_encoding": "base64", "delivery_tag": "t",
            "delivery_info": {"exchange": "", "routing_key": queue_name("default")},
        },
    }  # fmt: skip
    for name, value in changes.items():
        name = name.replace("_", "-")
        if value is None:
            del members[name]
        elif isinstance(value, dict):
            members[name] = {key: member for key, member in (members[name] | value).items() if member is not ...}
        else:
            members[name] = value
    return json.dumps(members).encode()


MESSAGES: dict[str, bytes] = {
    "not JSON": b"not json",
    "empty": b"",
    "binary": bytes(range(256)),
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "nested deeply": b"[" * 100_000,
    "bad base64": message().replace(b'"body": "', b'"body": "%%%'),
    "base64 that is not UTF-8": message(b"\xff\xfe"),
    "base64 that is not JSON": message(b"{nothing"),
    "no body": message(body=[], properties={"body_encoding": ...}).replace(b'"body"', b'"nobody"'),
    "body null": message(None),
    "body too short": message([]),
    "body an object": message({"pool": "default"}),
    "no headers": message(headers=None),
    "headers null": message().replace(b'"headers": {', b'"headers": null, "old": {'),
    "no task": message(headers={"task": ...}),
    "an unknown task": message(headers={"task": "os.system"}),
    "a task that is not a string": message(headers={"task": 5}),
    "no id": message(headers={"id": ...}),
    "no content type": message(content_type=None),
    "another content type": message(content_type="text/html"),
    "YAML": message(b"!!python/object/apply:os.abort []", content_type="application/x-yaml"),
    "a pickle": message(pickle.dumps(([], {"pool": "default"}, {})), content_type="application/x-python-serialize"),
    "another encoding": message(content_encoding="utf-64"),
    "not compressed as declared": message(headers={"compression": "application/x-gzip"}),
    "no properties": message(properties=None),
    "no delivery info": message(properties={"delivery_info": ...}),
    "no delivery tag": message(properties={"delivery_tag": ...}),
    "another body encoding": message(properties={"body_encoding": "rot13"}),
    "no arguments": message(([], {}, {})),
    "other arguments": message(([], {"colour": "red"}, {})),
    "too many arguments": message(([1, 2, 3], {"pool": "default"}, {})),
    "a pool that is not a string": message(([], {"pool": {"a": [1]}}, {})),
    "an unknown pool": message(([], {"pool": "nowhere"}, {})),
    "nonsense in the embedded options": message(
        ([], {"pool": "default"}, {"callbacks": 5, "chord": "x", "errbacks": [7]})
    ),
    "in a hundred years": message(headers={"eta": "2126-01-01T00:00:00+00:00"}),
    "at an invalid time": message(headers={"eta": "soon"}),
    "expired": message(headers={"expires": "2001-01-01T00:00:00+00:00"}),
    "with a time limit": message(headers={"timelimit": [0.001, 0.001]}),
    "many retries": message(headers={"retries": 10**6}),
    "huge": message(([], {"pool": "x" * 20_000_000}, {})),
}


def test_notifications_arrive_after_messages_that_cannot_be_read(
    redis: Any, slot_pool: RecordingSlotPool, notify: Callable[[str], None], until: Callable[..., Any]
) -> None:
    """They come one after the other, so each meets Celery in the state that the last one left."""
    redis.start()
    notify("big")
    slot_pool.calls.get(timeout=SECONDS)
    with Redis(port=redis.port) as client:
        for name, content in MESSAGES.items():
            client.lpush(queue_name("default"), content)
            try:
                until(lambda: client.llen(queue_name("default")) == 0, SECONDS)
                until(notified(redis, slot_pool, "big"), SECONDS)
            except AssertionError as error:
                raise AssertionError(f"no notification arrives after {name}") from error


def test_notifications_arrive_after_one_that_could_not_be_acknowledged(
    redis: Any, slot_pool: RecordingSlotPool, notify: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may die at that moment. Celery would then count the first task as running for ever."""

    def fail(*_: Any) -> None:
        raise ConnectionError("Redis is gone")

    monkeypatch.setattr(QoS, "ack", fail)
    redis.start()
    for _ in range(3):
        notify("default")
        slot_pool.calls.get(timeout=SECONDS)
