"""Benchmarks measure jobs that succeeded, with all of their work, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitqueue
from benchmarks import common, overhead, startup, throughput
from fitqueue.states import EventKind, JobState


def failing_job(*_: Any, **__: Any) -> dict[str, Any]:
    """Return a job whose loss is NaN after a step or two."""
    job = common.cnn_job("digits", epochs=1, learning_rate=1e38)
    return job | {"callbacks": [{"class_name": "TerminateOnNaN", "config": {}}]}


@pytest.mark.parametrize(
    "measure",
    [
        startup.seconds_to_first_step,
        lambda client: throughput.measure_jobs(client, 1),
        lambda client: overhead.train(client, failing_job()),
    ],
    ids=["startup", "throughput", "overhead"],
)
def test_a_job_that_fails_is_not_measured(
    client: fitqueue.Client, monkeypatch: pytest.MonkeyPatch, measure: Callable[[fitqueue.Client], object]
) -> None:
    monkeypatch.setattr(startup, "cnn_job", failing_job)
    monkeypatch.setattr(throughput, "cnn_job", failing_job)
    with pytest.raises(SystemExit, match="failed, so there is nothing to measure"):
        measure(client)


def test_a_job_is_measured_until_its_last_file_is_stored(client: fitqueue.Client) -> None:
    seconds, after_fit = overhead.train(client, common.cnn_job("digits", epochs=1))
    job = next(client.list(state=JobState.SUCCEEDED))
    assert job.finished_at is not None
    [epoch_ended_at] = [event.at for event in client.events(job.id) if event.kind == EventKind.EPOCH_ENDED]
    last_stored_at = max(checkpoint.created_at for checkpoint in client.checkpoints(job.id))
    assert epoch_ended_at < last_stored_at <= job.finished_at
    assert 0 < after_fit < seconds
    assert (job.finished_at - epoch_ended_at).total_seconds() < seconds


def test_the_file_of_an_option_is_used_instead_of_mnist(tmp_path: Path) -> None:
    with common.mnist_or_synthetic(tmp_path / "mine.npz") as data:
        assert data == tmp_path / "mine.npz"


def test_without_mnist_there_is_synthetic_data_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "MNIST", tmp_path / "nowhere.npz")
    with common.mnist_or_synthetic(None) as data, np.load(data) as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
    assert shapes["x_train"] == (60_000, 28, 28)
    assert shapes["y_test"] == (10_000,)
    assert not data.exists()
