"""`fitqueue up`: what it prints, what it restarts, and what it leaves behind."""

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
from tests.waiting import ANSWER_SECONDS


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


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the output up to and including the line with this text."""
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(f"exited without printing {text!r}:\n{output}")


def connect(folder: Path) -> fitqueue.Client:
    connection = json.loads((folder / "client.json").read_text())
    return fitqueue.Client(connection["url"], connection["token"])


def program_of(process: subprocess.Popen[str], text: str) -> psutil.Process:
    """Return the program that `fitqueue up` started with a command that contains this text."""
    [program] = [child for child in psutil.Process(process.pid).children() if text in " ".join(child.cmdline())]
    return program


def part_status(folder: Path, part: str) -> str:
    """Return what the API reports about a part of the service."""
    connection = json.loads((folder / "client.json").read_text())
    headers = {"Authorization": f"Bearer {connection['token']}"}
    answer = httpx.get(f"{connection['url']}/readyz", headers=headers, timeout=ANSWER_SECONDS)
    return str(answer.json()["parts"][part])


def _opened(link: str) -> httpx.Response:
    """Return the page to which a link that logs in leads a browser."""
    with httpx.Client(follow_redirects=True, headers={"Accept": "text/html"}, timeout=ANSWER_SECONDS) as browser:
        return browser.get(link)


def test_ctrl_c_requeues_running_jobs_and_the_next_start_trains_them(
    tmp_path: Path, endless_job: dict[str, Any]
) -> None:
    folder = tmp_path / "var"
    with fitqueue_up(folder) as process:
        printed = read_until(process, "Ctrl-C stops everything")
        connection = json.loads((folder / "client.json").read_text())
        assert stat.S_IMODE((folder / "client.json").stat().st_mode) == 0o600
        assert connection["url"] in printed
        assert connection["token"] in printed
        page = _opened(re.search(r"\S+/login\?link=\S+", printed)[0])
        assert (page.status_code, str(page.url)) == (200, f"{connection['url']}/")

        client = fitqueue.Client(connection["url"], connection["token"])
        job = client.submit(endless_job)
        next(event for event in client.events(job.id, follow=True) if event.kind == EventKind.EPOCH_ENDED)
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert "Stopped" in read_until(process, "Stopped")
        assert process.wait(300) == 0
        _, alive = psutil.wait_procs(descendants, timeout=300)
        assert not alive

    with Stack(folder, port=0) as stack:
        assert stack.token == connection["token"], "open shells must go on working"
        client = fitqueue.Client(stack.url, stack.token)
        claims = (event for event in client.events(job.id, follow=True) if event.kind == EventKind.CLAIMED)
        assert [next(claims).attempt, next(claims).attempt] == [1, 2]
        assert EventKind.REQUEUED in [event.kind for event in client.events(job.id)]
        client.cancel(job.id)
        assert client.wait(job.id).state == JobState.CANCELLED


def test_a_second_stack_in_the_same_folder_does_not_start(stack: Stack) -> None:
    message = rf"FitQueue already runs in {re.escape(str(stack.folder))} \(process \d+\)\."
    with pytest.raises(StackFailed, match=message), Stack(stack.folder, port=0):
        pass


def test_jobs_are_accepted_and_trained_while_redis_is_down(tmp_path: Path, digits_job: dict[str, Any]) -> None:
    folder = tmp_path / "var"
    with fitqueue_up(folder) as process:
        read_until(process, "Ctrl-C stops everything")
        client = connect(folder)
        process.send_signal(signal.SIGSTOP)  # so that Redis is not restarted yet
        program_of(process, "redis-server").kill()
        assert part_status(folder, "queue") != "ok"
        first = client.submit(digits_job | {"fit": {"epochs": 1, "batch_size": 64}})
        assert client.wait(first.id).state == JobState.SUCCEEDED, "workers poll the database"
        process.send_signal(signal.SIGCONT)
        read_until(process, "The redis process exited with code -9 and was started again.")
        while part_status(folder, "queue") != "ok":
            assert process.poll() is None
        second = client.submit(digits_job | {"fit": {"epochs": 1, "batch_size": 64}})
        assert client.wait(second.id).state == JobState.SUCCEEDED
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")
        assert process.wait(300) == 0


def test_a_worker_that_died_is_restarted(tmp_path: Path, endless_job: dict[str, Any]) -> None:
    folder = tmp_path / "var"
    with fitqueue_up(folder, FITQUEUE_LEASE_SECONDS="5") as process:
        read_until(process, "Ctrl-C stops everything")
        client = connect(folder)
        job = client.submit(endless_job)
        events = client.events(job.id, follow=True)
        next(event for event in events if event.kind == EventKind.EPOCH_ENDED)
        program_of(process, "-m workers").kill()
        read_until(process, "The worker process exited with code -9 and was started again.")
        assert next(event for event in events if event.kind == EventKind.CLAIMED).attempt == 2
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")


def test_a_stack_listens_and_trains_as_its_options_say_and_is_ready_with_its_checker(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    options = ["--workers", "2", "--slots", "3"]
    with fitqueue_up(folder, *options, FITQUEUE_HOST="127.0.0.2", FITQUEUE_SLOTS="1") as process:
        read_until(process, "FitQueue is ready")
        assert part_status(folder, "checker") == "ok"
        client = connect(folder)
        assert client.url.startswith("http://127.0.0.2:")
        assert [(worker.alive, worker.slots) for worker in client.workers()] == [(True, 3)] * 2
        assert (folder / "logs" / "worker-2.log").exists()
        for worker in psutil.Process(process.pid).children():
            if "-m workers" in " ".join(worker.cmdline()):
                worker.kill()
        read_until(process, "The worker-2 process exited with code -9 and was started again.")
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")
        assert process.wait(300) == 0


def test_a_stack_exits_when_its_api_dies(tmp_path: Path) -> None:
    with fitqueue_up(tmp_path / "var") as process:
        read_until(process, "Ctrl-C stops everything")
        program_of(process, "gunicorn").kill()
        read_until(process, "The api process exited with code -9.")
        assert process.wait(300) == 3


@pytest.mark.parametrize(
    ("program", "code"), [("raise SystemExit(7)", 7), ("", 0), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_a_stack_exits_with_the_exit_code_of_its_program(stack: Stack, tmp_path: Path, program: str, code: int) -> None:
    path = tmp_path / "program.py"
    path.write_text(program)
    assert commands._run(path, stack) == code


def test_an_interrupted_program_is_a_failure_and_is_not_left_behind(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\nprint('It runs.', flush=True)\nwhile True:\n    time.sleep(0.1)\n")
    with fitqueue_up(tmp_path / "var", "--run", str(program)) as process:
        read_until(process, "It runs.")
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopped")
        assert process.wait(300) == 130
        _, alive = psutil.wait_procs(descendants, timeout=300)
        assert not alive


def test_nothing_survives_a_stack_that_was_killed(tmp_path: Path) -> None:
    with fitqueue_up(tmp_path / "with a space") as process:
        read_until(process, "Ctrl-C stops everything")
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(descendants, timeout=300)
    assert not alive
