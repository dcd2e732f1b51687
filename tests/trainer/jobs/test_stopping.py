"""How a job ends that somebody stops: between two batches, with what was trained."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.states import Phase, Reason
from workers.shared.protocol import Ended, EpochEnded, PhaseChanged, Progress, Stop, Stopped

ENDLESS = {"epochs": 100_000, "batch_size": 64, "shuffle": False, "verbose": 0}


def after_epoch(number: int, why: Any) -> Callable[[Any], Stop | None]:
    return lambda event: Stop(why=why) if isinstance(event, EpochEnded) and event.epoch == number else None


def test_a_cancelled_job_leaves_its_best_and_last_weights(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    trained = train(make_spec(fit=ENDLESS), stop_at=after_epoch(3, "cancel"))
    assert isinstance(trained.ending, Ended)
    assert trained.ending.reason is Reason.CANCELLED_BY_USER
    assert trained.ending.message.startswith("The job was cancelled; training ended after ")
    assert trained.path_of("best").exists()
    last = [written for written in trained.checkpoints if "last" in written.names][-1]
    assert last.epoch >= 3


def test_a_job_that_ran_too_long(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(fit=ENDLESS), stop_at=after_epoch(1, "max_runtime"))
    assert trained.ending.reason is Reason.MAX_RUNTIME


def test_a_worker_that_shuts_down(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(fit=ENDLESS), stop_at=after_epoch(1, "shutdown"))
    assert isinstance(trained.ending, Stopped)


def test_the_first_wish_counts(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    actions = iter([Stop(why="cancel"), Stop(why="shutdown")])

    def stop_at(event: Any) -> Stop | None:
        return next(actions, None) if isinstance(event, PhaseChanged | EpochEnded | Progress) else None

    assert train(make_spec(fit=ENDLESS), stop_at=stop_at).ending.reason is Reason.CANCELLED_BY_USER


def test_before_the_training(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    def stop_at(event: Any) -> Stop | None:
        return Stop(why="cancel") if isinstance(event, PhaseChanged) and event.phase is Phase.LOADING_DATA else None

    trained = train(make_spec(fit=ENDLESS), stop_at=stop_at)
    assert trained.ending.reason is Reason.CANCELLED_BY_USER
    assert len(trained.epochs) <= 1


def test_within_a_long_epoch(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    """One sample a batch and a slow model: the stop does not wait for the epoch's end."""

    def stop_at(event: Any) -> Stop | None:
        return Stop(why="cancel") if isinstance(event, Progress) else None

    trained = train(make_spec(fit=ENDLESS | {"batch_size": 1}), stop_at=stop_at)
    assert trained.epochs == []
    [last] = trained.checkpoints
    assert last.names == ["last"]
    assert last.batch is not None
    assert 1 <= last.batch < 1437
    assert last.logs == {}
    assert f"after {last.batch} steps of epoch 1" in trained.ending.message


@pytest.mark.parametrize("save_freq", ["epoch", 5])
def test_whatever_callbacks_watch_the_batches(
    save_freq: Any, make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    watching = {
        "class_name": "ModelCheckpoint",
        "config": {"filepath": "a.weights.h5", "save_weights_only": True, "save_freq": save_freq, "monitor": "loss"},
    }
    trained = train(make_spec(fit=ENDLESS, callbacks=[watching]), stop_at=after_epoch(1, "cancel"))
    assert trained.ending.reason is Reason.CANCELLED_BY_USER
