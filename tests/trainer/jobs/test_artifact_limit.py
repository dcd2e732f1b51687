"""The files of callbacks are bounded while they grow, and the job ends with a reason of its own."""

from collections.abc import Callable
from typing import Any

from fitqueue.reports import ArtifactWritten, CheckpointWritten
from fitqueue.states import Reason

LOGGER = {"class_name": "CSVLogger", "config": {"filename": "history.csv"}}
BOARD = {"class_name": "TensorBoard", "config": {"log_dir": "board"}}


def test_a_job_ends_when_its_artifacts_are_too_large(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    spec = make_spec(fit={"epochs": 1000, "batch_size": 512, "verbose": 0}, callbacks=[LOGGER])
    trained = train(spec, max_artifact_bytes=200)
    assert trained.outcome.reason is Reason.LIMIT_REACHED
    assert "'history.csv'" in trained.outcome.message
    assert "FITQUEUE_MAX_ARTIFACT_BYTES" in trained.outcome.message
    assert 1 <= len(trained.epochs) < 20
    assert trained.events_of(ArtifactWritten) == []
    assert any("last" in written.names for written in trained.events_of(CheckpointWritten)), "what was trained stays"


def test_artifacts_within_the_limit_are_stored(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(callbacks=[LOGGER, BOARD]), max_artifact_bytes=10_000_000)
    assert trained.outcome.reason is Reason.COMPLETED
    assert [written.name for written in trained.events_of(ArtifactWritten)] == ["history.csv", "board.zip"]
