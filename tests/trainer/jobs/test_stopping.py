"""How a job ends that is stopped: between two batches, with what was trained."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.reports import EpochEnded
from fitqueue.states import Phase, Reason
from workers.shared.protocol import Ended, PhaseChanged, Progress, Stop, Stopped

ENDLESS = {"epochs": 100_000, "batch_size": 64, "shuffle": False, "verbose": 0}


def after_epoch(number: int, cause: Any) -> Callable[[Any], Stop | None]:
    return lambda event: Stop(cause=cause) if isinstance(event, EpochEnded) and event.epoch == number else None


def test_a_cancelled_job_has_its_best_and_last_weights(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    trained = train(make_spec(fit=ENDLESS), stop_at=after_epoch(3, "cancel"))
    assert isinstance(trained.outcome, Ended)
    assert trained.outcome.reason is Reason.CANCELLED_BY_USER
    assert trained.outcome.message.startswith("The job was cancelled; training ended after ")
    assert trained.path_of("best").exists()
    last = [written for written in trained.checkpoints if "last" in written.names][-1]
    assert last.epoch >= 3


def test_a_job_that_runs_too_long(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(fit=ENDLESS), stop_at=after_epoch(1, "max_runtime"))
    assert trained.outcome.reason is Reason.MAX_RUNTIME


def test_a_worker_that_shuts_down(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(fit=ENDLESS), stop_at=after_epoch(1, "shutdown"))
    assert isinstance(trained.outcome, Stopped)


def test_the_first_cause_counts(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    commands = iter([Stop(cause="cancel"), Stop(cause="shutdown")])

    def stop_at(event: Any) -> Stop | None:
        return next(commands, None) if isinstance(event, PhaseChanged | EpochEnded | Progress) else None

    assert train(make_spec(fit=ENDLESS), stop_at=stop_at).outcome.reason is Reason.CANCELLED_BY_USER


def test_a_job_is_cancelled_before_training(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    def stop_at(event: Any) -> Stop | None:
        return Stop(cause="cancel") if isinstance(event, PhaseChanged) and event.phase is Phase.LOADING_DATA else None

    trained = train(make_spec(fit=ENDLESS), stop_at=stop_at)
    assert trained.outcome.reason is Reason.CANCELLED_BY_USER
    assert len(trained.epochs) <= 1


def test_a_job_is_cancelled_within_a_long_epoch(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    """With one sample per batch, the job does not wait for the end of the epoch."""

    def stop_at(event: Any) -> Stop | None:
        return Stop(cause="cancel") if isinstance(event, Progress) else None

    trained = train(make_spec(fit=ENDLESS | {"batch_size": 1}), stop_at=stop_at)
    assert trained.epochs == []
    [last] = trained.checkpoints
    assert last.names == ["last"]
    assert last.batch is not None
    assert 1 <= last.batch < 1437
    assert last.logs == {}
    assert f"after {last.batch} steps of epoch 1" in trained.outcome.message


@pytest.mark.parametrize("save_freq", ["epoch", 5])
def test_a_job_is_cancelled_whether_or_not_callbacks_need_batches(
    save_freq: Any, make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    callback = {
        "class_name": "ModelCheckpoint",
        "config": {"filepath": "a.weights.h5", "save_weights_only": True, "save_freq": save_freq, "monitor": "loss"},
    }
    trained = train(make_spec(fit=ENDLESS, callbacks=[callback]), stop_at=after_epoch(1, "cancel"))
    assert trained.outcome.reason is Reason.CANCELLED_BY_USER
