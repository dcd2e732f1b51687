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

import psutil
import pytest

import fitqueue
from fitqueue.states import EventKind, JobState
from service.stack import Stack, StackFailed


@contextmanager
def fitqueue_up(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [Path(sys.executable).with_name("fitqueue"), "up", "--dir", folder, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
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
        assert EventKind.PUT_BACK in [event.kind for event in client.events(job.id)]
        client.cancel(job.id)
        assert client.wait(job.id).state == JobState.CANCELLED


def test_a_second_stack_in_the_same_folder_is_refused(stack: Stack) -> None:
    with pytest.raises(StackFailed, match=r"runs in .* already"), Stack(stack.folder, port=0):
        pass


def test_a_post_is_taken_and_trained_while_redis_is_dead(tmp_path: Path, digits_job: dict[str, Any]) -> None:
    with Stack(tmp_path / "var", port=0) as stack:
        redis = stack.processes.pop("redis")
        redis.kill()
        redis.wait()
        client = fitqueue.Client(stack.url, stack.token)
        job = client.submit(digits_job | {"fit": {"epochs": 1, "batch_size": 64}})
        assert client.wait(job.id).state == JobState.SUCCEEDED


def test_nothing_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    with fitqueue_up(tmp_path / "with a space") as process:
        read_until(process, "Ctrl-C stops all of it")
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive
