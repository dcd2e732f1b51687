"""A worker that drains closes its slots, and one that shuts down waits for its jobs."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from service.db import Database
from service.migrate import upgrade
from service.store import workers
from tests.waiting import until
from workers.supervisor.draining import Drain
from workers.supervisor.free_slots import FreeSlots
from workers.supervisor.stop_signals import StopSignals

SECONDS = 60.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/fitqueue.db"
    upgrade(url)
    database = Database(url)
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    yield database
    database.close()


def _is_draining(database: Database) -> bool:
    with database.read() as session:
        return workers.is_draining(session, "w1")


def test_the_slots_follow_what_users_ask(database: Database) -> None:
    slots = FreeSlots(1)
    drain = Drain(database, "w1", slots)
    drain.update()
    assert slots.count == 1
    with database.write() as session:
        workers.drain(session, "w1")
    drain.update()
    assert slots.count == 0
    with database.write() as session:
        workers.end_drain(session, "w1")
    drain.update()
    assert slots.count == 1


def test_a_worker_that_shuts_down_waits_until_its_jobs_have_ended(database: Database) -> None:
    slots = FreeSlots(1)
    slots.acquire()
    drain = Drain(database, "w1", slots)
    waiting = threading.Thread(target=drain.shut_down, args=[3600.0, Event()], daemon=True)
    waiting.start()
    until(lambda: _is_draining(database), SECONDS, "the database to know it")
    drain.update()
    assert waiting.is_alive()
    with database.write() as session:
        workers.end_drain(session, "w1")
    drain.update()
    assert not slots.acquire(), "a worker that shuts down stays closed, whatever users ask"
    slots.release()
    waiting.join(SECONDS)
    assert not waiting.is_alive()


@pytest.mark.parametrize(("seconds", "is_hurried"), [(0.0, False), (3600.0, True)])
def test_a_worker_that_shuts_down_does_not_wait_longer_than_it_may(
    database: Database, seconds: float, is_hurried: bool
) -> None:
    slots, hurried = FreeSlots(1), Event()
    slots.acquire()
    if is_hurried:
        hurried.set()
    waiting = threading.Thread(target=Drain(database, "w1", slots).shut_down, args=[seconds, hurried], daemon=True)
    waiting.start()
    waiting.join(SECONDS)
    assert not waiting.is_alive()
    assert slots.are_in_use
    until(lambda: _is_draining(database), SECONDS, "the database to know it")


@pytest.mark.parametrize(
    ("numbers", "is_hurried"),
    [([signal.SIGTERM], False), ([signal.SIGINT], True), ([signal.SIGTERM, signal.SIGTERM], True)],
)
def test_signals_ask_the_worker_to_stop(numbers: list[signal.Signals], is_hurried: bool) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signals = StopSignals()
    try:
        signals.install()
        assert not signals.asked.is_set()
        for number in numbers:
            os.kill(os.getpid(), number)
            assert signals.asked.wait(SECONDS)
        until(lambda: signals.hurried.is_set() == is_hurried, SECONDS, "the handler")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
