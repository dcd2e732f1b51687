"""A child that is frozen when its worker dies cannot exit. The reaper of another worker kills it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from service.db import Database
from service.migrate import upgrade
from service.queue import Notifier
from workers.supervisor import orphans
from workers.supervisor.reaper import Reaper, own_directory

WORKER = "wk_dead"


@pytest.fixture
def frozen() -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start processes, and stop them with SIGSTOP."""
    processes: list[subprocess.Popen[bytes]] = []

    def make() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        processes.append(process)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        return process

    yield make
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def reap(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """The reaper of a live worker, with its own database and without Redis."""
    url = f"sqlite:///{tmp_path / 'fitqueue.db'}"
    upgrade(url)
    database = Database(url)
    yield Reaper(database, Notifier("redis://127.0.0.1:1/0"), tmp_path / "work").run_once
    database.close()


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """The work directory of an attempt whose worker is dead."""
    directory = tmp_path / "work" / WORKER / "job_1.1"
    directory.mkdir(parents=True)
    (directory.parent / "lock").touch()
    return directory


def test_a_frozen_process_of_a_dead_worker_is_killed(
    attempt: Path, frozen: Callable[[], "subprocess.Popen[bytes]"], reap: Callable[[], None]
) -> None:
    process, other = frozen(), frozen()
    orphans.note(attempt, process.pid)
    assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    reap()
    assert process.wait(120) == -signal.SIGKILL
    assert not attempt.parent.exists()
    assert other.poll() is None, "no note names it"


def test_a_process_of_a_live_worker_is_left_alone(
    tmp_path: Path, frozen: Callable[[], "subprocess.Popen[bytes]"], reap: Callable[[], None]
) -> None:
    process = frozen()
    with own_directory(tmp_path / "work", "wk_alive") as directory:
        attempt = directory / "job_1.1"
        attempt.mkdir()
        orphans.note(attempt, process.pid)
        reap()
        assert attempt.exists()
        assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


@pytest.mark.parametrize(("ticks", "namespace"), [(-1, "same"), (0, "pid:[1]")], ids=["earlier", "in a container"])
def test_another_process_with_the_same_pid_is_left_alone(
    attempt: Path,
    frozen: Callable[[], "subprocess.Popen[bytes]"],
    reap: Callable[[], None],
    ticks: int,
    namespace: str,
) -> None:
    """The kernel reuses pids, and each container has its own."""
    process = frozen()
    orphans.note(attempt, process.pid)
    [note] = attempt.iterdir()
    pid, began, ours = re.fullmatch(r"(\d+) (\d+)@(.+)", note.read_text()).groups()  # type: ignore[union-attr]
    note.write_text(f"{pid} {int(began) + ticks}@{ours if namespace == 'same' else namespace}")
    reap()
    assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    assert not attempt.parent.exists()


def test_a_process_that_has_exited(
    attempt: Path, frozen: Callable[[], "subprocess.Popen[bytes]"], reap: Callable[[], None]
) -> None:
    process = frozen()
    orphans.note(attempt, process.pid)
    process.kill()
    process.communicate()
    reap()
    assert not attempt.parent.exists()


@pytest.mark.parametrize("note", ["", "12", "many words on one line", "x y", "1 2", "-1 5", "\udcff"], ids=repr)
def test_a_damaged_note_kills_nothing(note: str, attempt: Path, reap: Callable[[], None]) -> None:
    (attempt / "process").write_bytes(note.encode("utf-8", "surrogateescape"))
    reap()
    assert not attempt.parent.exists()


def test_a_process_that_is_gone_is_not_noted(attempt: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    orphans.note(attempt, process.pid)
    assert list(attempt.iterdir()) == []


def test_a_program_s_name_with_parentheses_and_spaces_is_parsed(tmp_path: Path, attempt: Path) -> None:
    """`/proc/…/stat` has the program's name unescaped, between numbers."""
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(sys.executable)
    process = subprocess.Popen([program, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    orphans.note(attempt, process.pid)
    assert orphans.kill_all(attempt.parent) == [process.pid]
    assert process.wait(120) == -signal.SIGKILL
    process.communicate()
