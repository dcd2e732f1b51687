"""The bell while Redis is not well: it costs a second at most, then nothing for a while, and nobody fails by it."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from service import queue
from service.queue import MUTE_SECONDS, Notifier, queue_name

MOST_SECONDS = 2.0  # one, and what a busy machine takes
POOL = "default"

Until = Callable[..., Any]


@pytest.fixture
def server(redis: Any, until: Until) -> Any:
    """A Redis that answers, to which the test can speak as `server.client`."""
    redis.client = redis_py.Redis(port=redis.port, socket_timeout=30)
    start(redis, until)
    yield redis
    redis.client.close()


def start(redis: Any, until: Until) -> None:
    redis.start()
    until(lambda: answers(redis.client))


def answers(client: redis_py.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis_py.RedisError:
        return False


def waiting(redis: Any) -> int:
    return int(redis.client.llen(queue_name(POOL)))


@pytest.mark.parametrize("bell_before", [False, True], ids=["first", "one waits"])
def test_it_is_rung_again_only_where_no_bell_waits(bell_before: bool, server: Any) -> None:
    notifier = Notifier(server.url)
    if bell_before:
        assert notifier.notify(POOL)
    for _ in range(3):
        assert notifier.notify_unless_waiting(POOL)
        assert waiting(server) == 1
    assert notifier.notify_unless_waiting("other")
    assert server.client.llen(queue_name("other")) == 1
    server.client.delete(queue_name(POOL))
    assert notifier.notify_unless_waiting(POOL)
    assert waiting(server) == 1
    assert notifier.notify(POOL)
    assert waiting(server) == 2


def flushed(server: Any, until: Until) -> None:
    server.client.flushall()


def restarted(server: Any, until: Until) -> None:
    server.stop()
    start(server, until)


@pytest.mark.parametrize("how", [flushed, restarted])
@pytest.mark.parametrize("method", ["notify", "notify_unless_waiting"])
def test_a_bell_that_was_lost_can_be_rung_again(
    how: Callable[..., None], method: str, server: Any, until: Until
) -> None:
    notifier = Notifier(server.url)
    assert notifier.notify(POOL)
    how(server, until)
    assert waiting(server) == 0

    def is_rung() -> bool:
        notifier._muted_until = 0.0  # a connection that was lost may have made it silent
        return bool(getattr(notifier, method)(POOL))

    until(is_rung)
    assert waiting(server) == 1


def frozen(server: Any) -> None:
    os.kill(server._process.pid, signal.SIGSTOP)


def gone(server: Any) -> None:
    server.stop()


def full(server: Any) -> None:
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", 1)


def read_only(server: Any) -> None:
    """A replica, as after a failover; and one that has lost its master."""
    server.client.execute_command("REPLICAOF", "127.0.0.1", "1")


def of_another_kind(server: Any) -> None:
    server.client.set(queue_name(POOL), "no list")


def locked(server: Any) -> None:
    server.client.config_set("requirepass", "a secret that the bell does not know")
    server.client.client_kill_filter(_type="normal", skipme=True)  # who was connected is let in for ever


@pytest.mark.parametrize("has_rung", [False, True], ids=["never connected", "connected"])
@pytest.mark.parametrize("method", ["notify", "notify_unless_waiting"])
@pytest.mark.parametrize("ill", [frozen, gone, full, read_only, of_another_kind, locked])
def test_a_redis_that_is_not_well_costs_a_second_and_then_nothing(
    ill: Callable[[Any], None], method: str, has_rung: bool, server: Any
) -> None:
    notifier = Notifier(server.url)
    if has_rung:
        assert notifier.notify(POOL)
        server.client.delete(queue_name(POOL))
    ill(server)

    began = time.monotonic()
    assert getattr(notifier, method)(POOL) is False
    took = time.monotonic() - began
    assert took < MOST_SECONDS

    silent = notifier._muted_until
    assert silent == pytest.approx(began + took + MUTE_SECONDS, abs=0.5)
    began = time.monotonic()
    for _ in range(100):
        assert notifier.notify(POOL) is False
        assert notifier.notify_unless_waiting(POOL) is False
    assert time.monotonic() - began < 0.1
    assert notifier._muted_until == silent, "silence is not prolonged by asking"


@pytest.mark.parametrize("ill", [frozen, gone, full])
def test_it_rings_when_redis_is_well_again_and_the_silence_over(
    ill: Callable[[Any], None], server: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = Notifier(server.url)
    ill(server)
    assert not notifier.notify(POOL)
    if ill is gone:
        start(server, until)
    elif ill is frozen:
        os.kill(server._process.pid, signal.SIGCONT)
        until(lambda: answers(server.client))
    else:
        server.client.config_set("maxmemory", 0)
    server.client.delete(queue_name(POOL))
    assert not notifier.notify(POOL)
    later = time.monotonic() + MUTE_SECONDS
    monkeypatch.setattr(queue.time, "monotonic", lambda: later)
    assert notifier.notify_unless_waiting(POOL)
    assert waiting(server) == 1
