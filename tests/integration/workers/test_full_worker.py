"""A worker whose slots are taken leaves notifications to idle workers, and loses none that it has received."""

import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from service.queue import Notifier, queue_name

ROOT = Path(__file__).parents[3]
SECONDS = 200.0
COUNT = 10
Until = Callable[..., Any]


class ListenerProcess:
    """A listener in a process of its own; `lines` has what it prints."""

    def __init__(self, url: str, slot: str) -> None:
        command = [sys.executable, "-m", "tests.integration.workers.listens", url, slot]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        Thread(target=self._read, daemon=True).start()

    def go_on(self) -> None:
        """Have it take its slot or, the second time, free it."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def count_waiting(server: Any) -> int:
    return int(server.client.llen(queue_name("default")))


def is_read_under_way(server: Any) -> bool:
    """Tell whether a listener waits in Redis for the next notification."""
    return any(client["cmd"] == "brpop" and "b" in client["flags"] for client in server.client.client_list())


@pytest.fixture
def listen(server: Any) -> Iterator[Callable[[str], ListenerProcess]]:
    """Return a function that starts a listener, and returns when it has received a first notification."""
    with ExitStack() as on_exit:

        def listen(slot: str) -> ListenerProcess:
            listener = ListenerProcess(server.url, slot)
            on_exit.callback(listener.end)
            return listener

        yield listen


def await_first(listener: ListenerProcess, server: Any) -> None:
    """Notify until the listener has worked, then have it take its slot if it is to be full."""
    deadline = time.monotonic() + SECONDS
    while listener.lines.empty():
        assert time.monotonic() < deadline, "the listener receives nothing"
        Notifier(server.url).notify_unless_waiting("default")
        time.sleep(0.1)
    while not (count_waiting(server) == 0 and listener.lines.empty()):
        listener.lines.get(timeout=SECONDS)
    while not is_read_under_way(server):
        assert time.monotonic() < deadline, "the listener reads no more"
        time.sleep(0.01)
    listener.go_on()
    while listener.lines.get(timeout=SECONDS) != "ready":
        pass


def test_an_idle_worker_receives_what_is_sent_while_another_one_is_full(
    server: Any, listen: Callable[[str], ListenerProcess]
) -> None:
    full, idle = listen("full"), None
    await_first(full, server)
    idle = listen("free")
    await_first(idle, server)
    notifier = Notifier(server.url)
    for _ in range(COUNT):
        assert notifier.notify("default")
        assert idle.lines.get(timeout=SECONDS) == "work"
    assert full.lines.empty()


def test_a_full_worker_receives_what_was_sent_when_a_slot_becomes_free(
    server: Any, listen: Callable[[str], ListenerProcess], until: Until
) -> None:
    full = listen("full")
    await_first(full, server)
    assert Notifier(server.url).notify("default")
    until(lambda: count_waiting(server) == 1)  # a read that was under way has sent it again
    assert full.lines.empty()
    full.go_on()
    assert full.lines.get(timeout=SECONDS) == "work"
