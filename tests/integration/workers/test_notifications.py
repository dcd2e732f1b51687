"""Notifications while Redis is broken: they take a second at most, then nothing for a while, and never raise."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from service import queue
from service.queue import Notifier, queue_name
from tests.integration.workers.conftest import answers, start

MAX_SECONDS = 10.0
"""One second, and what a busy machine adds. Without a bound of its own, a client of Redis waits for ever."""
POOL = "default"

Until = Callable[..., Any]


def count_waiting(redis: Any) -> int:
    return int(redis.client.llen(queue_name(POOL)))


@pytest.mark.parametrize("is_waiting", [False, True], ids=["first", "one is waiting"])
def test_a_pool_is_notified_only_if_no_notification_is_waiting(is_waiting: bool, server: Any) -> None:
    notifier = Notifier(server.url)
    if is_waiting:
        assert notifier.notify(POOL)
    for _ in range(3):
        assert notifier.notify_unless_waiting(POOL)
        assert count_waiting(server) == 1
    assert notifier.notify_unless_waiting("other")
    assert server.client.llen(queue_name("other")) == 1
    server.client.delete(queue_name(POOL))
    assert notifier.notify_unless_waiting(POOL)
    assert count_waiting(server) == 1
    assert notifier.notify(POOL)
    assert count_waiting(server) == 2


def flush(server: Any, until: Until) -> None:
    server.client.flushall()


def restart(server: Any, until: Until) -> None:
    server.stop()
    start(server, until)


@pytest.mark.parametrize("lose", [flush, restart])
@pytest.mark.parametrize("method", ["notify", "notify_unless_waiting"])
def test_a_pool_can_be_notified_again_after_a_lost_notification(
    lose: Callable[..., None], method: str, server: Any, until: Until
) -> None:
    notifier = Notifier(server.url)
    assert notifier.notify(POOL)
    lose(server, until)
    assert count_waiting(server) == 0

    def is_notified() -> bool:
        notifier._muted_until = 0.0  # the lost connection may have muted it
        return bool(getattr(notifier, method)(POOL))

    until(is_notified)
    assert count_waiting(server) == 1


def freeze(server: Any) -> None:
    os.kill(server._process.pid, signal.SIGSTOP)


def stop(server: Any) -> None:
    server.stop()


def fill(server: Any) -> None:
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", 1)


def make_read_only(server: Any) -> None:
    """Make it a replica, as after a failover, and one that has lost its master."""
    server.client.execute_command("REPLICAOF", "127.0.0.1", "1")


def replace_queue(server: Any) -> None:
    server.client.set(queue_name(POOL), "not a list")


def require_password(server: Any) -> None:
    server.client.config_set("requirepass", "a secret that the notifier does not know")
    server.client.client_kill_filter(_type="normal", skipme=True)  # an open connection would stay authenticated


@pytest.fixture(autouse=True)
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that no slow machine outlasts."""
    monkeypatch.setattr(queue, "MUTE_SECONDS", 60.0)


@pytest.mark.parametrize("is_connected", [False, True], ids=["never connected", "connected"])
@pytest.mark.parametrize("method", ["notify", "notify_unless_waiting"])
@pytest.mark.parametrize("break_redis", [freeze, stop, fill, make_read_only, replace_queue, require_password])
def test_a_broken_redis_costs_a_second_and_then_nothing(
    break_redis: Callable[[Any], None], method: str, is_connected: bool, server: Any
) -> None:
    notifier = Notifier(server.url)
    if is_connected:
        assert notifier.notify(POOL)
        server.client.delete(queue_name(POOL))
    break_redis(server)

    began = time.monotonic()
    assert getattr(notifier, method)(POOL) is False
    took = time.monotonic() - began
    assert took < MAX_SECONDS

    muted_until = notifier._muted_until
    assert began + queue.MUTE_SECONDS <= muted_until <= began + took + queue.MUTE_SECONDS
    began = time.monotonic()
    for _ in range(100):
        assert notifier.notify(POOL) is False
        assert notifier.notify_unless_waiting(POOL) is False
    assert time.monotonic() - began < MAX_SECONDS, "each would have taken a second"
    assert notifier._muted_until == muted_until, "asking must not prolong the pause"


@pytest.mark.parametrize("break_redis", [freeze, stop, fill])
def test_pools_are_notified_again_when_redis_works_and_the_pause_is_over(
    break_redis: Callable[[Any], None], server: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = Notifier(server.url)
    break_redis(server)
    assert not notifier.notify(POOL)
    if break_redis is stop:
        start(server, until)
    elif break_redis is freeze:
        os.kill(server._process.pid, signal.SIGCONT)
        until(lambda: answers(server.client))
    else:
        server.client.config_set("maxmemory", 0)
    server.client.delete(queue_name(POOL))
    assert not notifier.notify(POOL)
    later = time.monotonic() + queue.MUTE_SECONDS
    monkeypatch.setattr(queue.time, "monotonic", lambda: later)
    assert notifier.notify_unless_waiting(POOL)
    assert count_waiting(server) == 1
