"""The main use: submit a Keras job, watch it train, and download its best weights."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import fitqueue
from fitqueue.errors import InvalidSpec
from fitqueue.states import EventKind, JobState, Reason
from service.stack import Stack
from tests.waiting import ANSWER_SECONDS

EXAMPLES = Path(__file__).parents[2] / "examples"


def cli(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    command = [Path(sys.executable).with_name("fitqueue"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def until_first_epoch(client: fitqueue.Client, job_id: str) -> None:
    for event in client.events(job_id, follow=True):
        if event.kind == EventKind.EPOCH_ENDED:
            return
        assert not client.get(job_id).state.is_final, client.get(job_id).message


def test_the_best_weights_of_a_job_load_into_plain_keras(
    client: fitqueue.Client, digits_job: dict[str, Any], tmp_path: Path
) -> None:
    epochs: list[int] = []
    submitted = client.submit(digits_job)
    job = client.wait(submitted.id, on_update=lambda update: epochs.append(update.progress.epoch))

    assert (job.state, job.reason) in {
        (JobState.SUCCEEDED, Reason.COMPLETED),
        (JobState.SUCCEEDED, Reason.EARLY_STOPPED),
    }, job.message
    assert epochs == sorted(epochs)
    rows = list(client.metrics(job.id))
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
    assert job.best is not None
    assert job.best.value == min(row.metrics["val_loss"] for row in rows)

    path = client.download(job.id, "best", tmp_path / "best.weights.h5")
    best = next(checkpoint for checkpoint in client.checkpoints(job.id) if checkpoint.name == "best")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == best.sha256
    printed = subprocess.run(
        [sys.executable, EXAMPLES / "load_best_weights.py", path], capture_output=True, text=True, check=True
    ).stdout
    accuracy = float(printed.split()[-1])
    assert accuracy == pytest.approx(rows[job.best.epoch - 1].metrics["val_accuracy"], abs=1e-3)
    assert accuracy > 0.9


def test_submit_and_wait_exits_with_0_when_the_job_succeeds(stack: Stack, tmp_path: Path) -> None:
    result = cli(stack, "submit", str(EXAMPLES / "digits_cnn.json"), "--wait", "--set", "fit.epochs=1")
    assert result.returncode == 0, result.stderr
    assert "succeeded" in result.stdout


def test_watch_exits_with_1_when_the_job_fails_and_prints_why(
    stack: Stack, client: fitqueue.Client, endless_job: dict[str, Any]
) -> None:
    job = client.submit(endless_job | {"max_runtime_seconds": 1})
    result = cli(stack, "watch", job.id)
    assert result.returncode == 1, result.stderr
    failed = client.get(job.id)
    assert (failed.state, failed.reason) == (JobState.FAILED, Reason.MAX_RUNTIME)
    assert failed.message is not None
    assert failed.message in result.stdout


def test_a_job_whose_training_process_was_killed_resumes_and_its_events_say_why(
    stack: Stack, client: fitqueue.Client, endless_job: dict[str, Any]
) -> None:
    job = client.submit(endless_job)
    until_first_epoch(client, job.id)
    _training_process(stack).kill()
    messages: dict[EventKind, str] = {}
    for event in client.events(job.id, follow=True):
        messages.setdefault(event.kind, event.message)
        if event.attempt == 2 and event.kind == EventKind.EPOCH_ENDED:
            break
        assert not client.get(job.id).state.is_final, client.get(job.id).message
    assert "was killed by SIGKILL: most likely the machine ran out of memory" in messages[EventKind.REQUEUED]
    client.cancel(job.id)
    client.wait(job.id)


def test_watch_exits_with_2_when_the_job_is_cancelled_and_its_weights_can_be_downloaded(
    stack: Stack, client: fitqueue.Client, endless_job: dict[str, Any], tmp_path: Path
) -> None:
    job = client.submit(endless_job)
    until_first_epoch(client, job.id)
    assert cli(stack, "cancel", job.id).returncode == 0
    assert cli(stack, "watch", job.id).returncode == 2
    assert client.get(job.id).reason == Reason.CANCELLED_BY_USER
    assert client.download(job.id, "last", tmp_path / "last.weights.h5").stat().st_size > 0


def test_without_a_token_only_healthz_answers(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, timeout=ANSWER_SECONDS) as http:
        assert http.get("/healthz").status_code == 200
        for path in ("/readyz", "/api/v1/jobs", "/api/v1/openapi.json", "/api/v1/workers", "/docs", "/nowhere"):
            answer = http.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json", path


def test_all_faults_of_a_job_are_reported_and_nothing_is_stored(
    client: fitqueue.Client, digits_job: dict[str, Any]
) -> None:
    before = [job.id for job in client.list()]
    digits_job["compile"]["optimizer"] = "adamm"
    digits_job["data"]["dataset"] = "no-such-set"
    digits_job["callbacks"][1]["config"]["filepath"] = "../{epoch}.weights.h5"
    with pytest.raises(InvalidSpec) as caught:
        client.submit(digits_job)
    assert {fault.pointer for fault in caught.value.errors} >= {
        "/compile/optimizer",
        "/data/dataset",
        "/callbacks/1/config/filepath",
    }
    assert [job.id for job in client.list()] == before


def _training_process(stack: Stack) -> psutil.Process:
    """Return the training process: the newest grandchild of the worker, a child of the fork server."""
    grandchildren = [
        grandchild
        for child in psutil.Process(stack.processes["worker"].pid).children()
        for grandchild in child.children()
    ]
    return max(grandchildren, key=lambda process: process.create_time())
