"""`fitqueue up`: what it prints, what it leaves behind, and what survives its end."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import fitqueue
from fitqueue.states import EventKind, JobState
from service import commands
from service.stack import Stack, StackFailed


@contextmanager
def fitqueue_up(folder: Path, *options: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [Path(sys.executable).with_name("fitqueue"), "up", "--dir", folder, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **settings},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if wanted in line:
            return read
    raise AssertionError(f"ended without saying {wanted!r}:\n{read}")


def connect(folder: Path) -> fitqueue.Client:
    connection = json.loads((folder / "client.json").read_text())
    return fitqueue.Client(connection["url"], connection["token"])


def program_below(process: subprocess.Popen[str], words: str) -> psutil.Process:
    """The process that `fitqueue up` has started by these words."""
    [found] = [child for child in psutil.Process(process.pid).children() if words in " ".join(child.cmdline())]
    return found


def queue_as_the_api_sees_it(folder: Path) -> str:
    connection = json.loads((folder / "client.json").read_text())
    headers = {"Authorization": f"Bearer {connection['token']}"}
    return str(httpx.get(f"{connection['url']}/readyz", headers=headers).json()["parts"]["queue"])


def test_ctrl_c_puts_running_jobs_back_and_the_next_start_trains_them(
    tmp_path: Path, endless_job: dict[str, Any]
) -> None:
    folder = tmp_path / "var"
    with fitqueue_up(folder) as process:
        printed = read_until(process, "Ctrl-C stops all of it")
        connection = json.loads((folder / "client.json").read_text())
        assert stat.S_IMODE((folder / "client.json").stat().st_mode) == 0o600
        assert connection["url"] in printed
        assert re.search(r"/docs\?token=" + re.escape(connection["token"]), printed)

        client = fitqueue.Client(connection["url"], connection["token"])
        job = client.submit(endless_job)
        next(event for event in client.events(job.id, follow=True) if event.kind == EventKind.EPOCH_ENDED)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert "Stopped" in read_until(process, "Stopped")
        assert process.wait(60) == 0
        _, alive = psutil.wait_procs(below, timeout=10)
        assert not alive

    with Stack(folder, port=0) as stack:
        assert stack.token == connection["token"], "an open shell must go on working"
        client = fitqueue.Client(stack.url, stack.token)
        claims = (event for event in client.events(job.id, follow=True) if event.kind == EventKind.CLAIMED)
        assert [next(claims).attempt, next(claims).attempt] == [1, 2]
        assert EventKind.REQUEUED in [event.kind for event in client.events(job.id)]
        client.cancel(job.id)
        assert client.wait(job.id).state == JobState.CANCELLED


def test_a_second_stack_in_the_same_folder_is_refused(stack: Stack) -> None:
    with pytest.raises(StackFailed, match=r"runs in .* already"), Stack(stack.folder, port=0):
        pass


def test_redis_may_die_under_a_post(tmp_path: Path, digits_job: dict[str, Any]) -> None:
    folder = tmp_path / "var"
    with fitqueue_up(folder) as process:
        read_until(process, "Ctrl-C stops all of it")
        client = connect(folder)
        process.send_signal(signal.SIGSTOP)  # so that Redis is down for as long as this test likes
        program_below(process, "redis-server").kill()
        assert queue_as_the_api_sees_it(folder) != "ok"
        first = client.submit(digits_job | {"fit": {"epochs": 1, "batch_size": 64}})
        assert client.wait(first.id).state == JobState.SUCCEEDED, "workers ask the database"
        process.send_signal(signal.SIGCONT)
        read_until(process, "The redis process ended with exit code -9; it is started again.")
        while queue_as_the_api_sees_it(folder) != "ok":
            assert process.poll() is None
        second = client.submit(digits_job | {"fit": {"epochs": 1, "batch_size": 64}})
        assert client.wait(second.id).state == JobState.SUCCEEDED
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")
        assert process.wait(60) == 0


def test_a_worker_that_died_is_started_again(tmp_path: Path, endless_job: dict[str, Any]) -> None:
    folder = tmp_path / "var"
    with fitqueue_up(folder, FITQUEUE_LEASE_SECONDS="5") as process:
        read_until(process, "Ctrl-C stops all of it")
        client = connect(folder)
        job = client.submit(endless_job)
        told = client.events(job.id, follow=True)
        next(event for event in told if event.kind == EventKind.EPOCH_ENDED)
        program_below(process, "-m workers").kill()
        read_until(process, "The worker process ended with exit code -9; it is started again.")
        assert next(event for event in told if event.kind == EventKind.CLAIMED).attempt == 2
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")


def test_without_its_api_a_stack_ends(tmp_path: Path) -> None:
    with fitqueue_up(tmp_path / "var") as process:
        read_until(process, "Ctrl-C stops all of it")
        program_below(process, "gunicorn").kill()
        read_until(process, "The api process ended with exit code -9.")
        assert process.wait(60) == 3


@pytest.mark.parametrize(
    ("program", "code"), [("raise SystemExit(7)", 7), ("", 0), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_a_program_that_runs_beside_a_stack_gives_it_its_exit_code(
    stack: Stack, tmp_path: Path, program: str, code: int
) -> None:
    path = tmp_path / "program.py"
    path.write_text(program)
    assert commands._run(path, stack) == code


def test_an_interrupted_program_is_no_success_and_is_not_left_behind(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import signal; print('It runs.', flush=True); signal.pause()")
    with fitqueue_up(tmp_path / "var", "--run", str(program)) as process:
        read_until(process, "It runs.")
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")
        assert process.wait(60) == 130
        _, alive = psutil.wait_procs(below, timeout=10)
        assert not alive


def test_nothing_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    with fitqueue_up(tmp_path / "with a space") as process:
        read_until(process, "Ctrl-C stops all of it")
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive
