"""An extended job trains as if it had been submitted with all its epochs, to the last bit."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.reports import Position, SnapshotWritten
from fitqueue.states import Reason
from tests.trainer.jobs.conftest import DENSE
from tests.trainer.jobs.test_resume import (
    CALLBACKS,
    HEAD,
    JOBS,
    SHUFFLED,
    checkpoints_by_name,
    epochs_without_time,
    layer,
    sequential,
    snapshots_of,
)
from workers.shared.protocol import Progress, Resumed, Stop

Train = Callable[..., Any]
MakeSpec = Callable[..., dict[str, Any]]

FIRST, MORE = 2, 3
WHOLE = FIRST + MORE
CASES: dict[str, dict[str, Any]] = {
    name: JOBS[name]
    for name in (
        "dropout, noise, batch normalization",
        "averaged weights",
        "averaged weights that are swapped in",
        "gradients accumulated across epochs",
        "a schedule",
        "a scheduling callback",
        "epochs that continue in the data",
    )
} | {
    "dropout and three callbacks": {
        "model": sequential(layer("Dropout", rate=0.3), *HEAD),
        "callbacks": CALLBACKS,
        "data": {
            "dataset": "digits", "x": "x_train", "y": "y_train", "validation": {"x": "x_test", "y": "y_test"},
            "prepare": {"x": [{"scale": 0.0625}]},
        },
    },
}  # fmt: skip
MIRRORED = ["dropout, noise, batch normalization", "dropout and three callbacks"]


@pytest.fixture
def spec_with(make_spec: MakeSpec) -> Callable[..., dict[str, Any]]:
    """Return a function that makes the spec of a job with this many epochs."""

    def make(epochs: int, **fields: Any) -> dict[str, Any]:
        job = {"model": DENSE, "fit": SHUFFLED, **fields}
        return make_spec(**{**job, "fit": {**job["fit"], "epochs": epochs}})

    return make


def extended(ended: Any, spec: dict[str, Any], more_epochs: int) -> dict[str, Any]:
    """Return what a worker sends to the child of an ended job that was given more epochs than it has trained."""
    [snapshot] = snapshots_of(ended)[-1:]
    epochs = snapshot.position.epoch + more_epochs
    return {
        "spec": {**spec, "fit": {**spec["fit"], "epochs": epochs}},
        "snapshot": str(ended.directory / snapshot.file),
        "extended": True,
        "attempt": 2,
    }


def assert_same_as_whole(first: Any, rest: Any, whole: Any) -> None:
    assert epochs_without_time(rest) == epochs_without_time(whole)[len(first.epochs) :]
    assert rest.outcome == whole.outcome
    assert checkpoints_by_name(first, rest) == checkpoints_by_name(whole)
    assert snapshots_of(rest)[-1].sha256 == snapshots_of(whole)[-1].sha256, "a third part would resume from it"


@pytest.mark.parametrize(
    ("name", "devices"),
    [
        *((name, 1) for name in CASES),
        *((name, 2) for name in MIRRORED),
    ],
)
def test_an_extended_job_equals_the_job_with_all_epochs(
    name: str, devices: int, spec_with: Callable[..., dict[str, Any]], train: Train
) -> None:
    spec = spec_with(FIRST, **CASES[name])
    first = train(spec, cpu_devices=devices)
    assert first.outcome.reason is Reason.COMPLETED
    rest = train(**extended(first, spec, MORE), cpu_devices=devices)
    [resumed] = rest.events_of(Resumed)
    assert (resumed.position, resumed.differences) == (Position(FIRST), [])
    assert [epoch.epoch for epoch in rest.epochs] == list(range(FIRST + 1, WHOLE + 1))
    assert_same_as_whole(first, rest, train(spec_with(WHOLE, **CASES[name]), cpu_devices=devices))


def test_a_job_is_extended_twice(spec_with: Callable[..., dict[str, Any]], train: Train) -> None:
    fields = CASES["dropout and three callbacks"]
    spec = spec_with(1, **fields)
    first = train(spec)
    once = extended(first, spec, 1)
    second = train(**once)
    third = train(**extended(second, once["spec"], WHOLE - 2))
    whole = train(spec_with(WHOLE, **fields))
    assert epochs_without_time(first, second, third) == epochs_without_time(whole)
    assert checkpoints_by_name(first, second, third) == checkpoints_by_name(whole)


def test_a_job_that_was_cancelled_within_an_epoch(spec_with: Callable[..., dict[str, Any]], train: Train) -> None:
    fields = CASES["dropout, noise, batch normalization"]

    def stop_at(event: Any) -> Stop | None:
        is_due = isinstance(event, SnapshotWritten) and event.position == Position(1, 2)
        return Stop(cause="cancel") if is_due else None

    # With eight samples per batch, the command arrives long before the end of the epoch.
    fields = {**fields, "fit": {**SHUFFLED, "batch_size": 8}}
    spec = spec_with(FIRST, **fields)
    first = train(spec, stop_at=stop_at, snapshot_seconds=0)
    assert first.outcome.reason is Reason.CANCELLED_BY_USER
    position = snapshots_of(first)[-1].position
    assert position.epoch == 1
    assert position.step > 2
    rest = train(**extended(first, spec, WHOLE - position.epoch), snapshot_seconds=0)
    assert [epoch.epoch for epoch in rest.epochs] == list(range(2, WHOLE + 1)), "the interrupted epoch is one of them"
    whole = train(spec_with(WHOLE, **fields), snapshot_seconds=0)
    assert epochs_without_time(rest) == epochs_without_time(whole)[1:]
    assert checkpoints_by_name(rest)["last"] == checkpoints_by_name(whole)["last"]
    assert not any(isinstance(event, Progress) and event.position.epoch == 0 for event in rest.events)


# --- Jobs that a callback has stopped ------------------------------------------------------------------------------

PATIENCE = 2


def early_stopping(min_delta: float, **config: Any) -> list[dict[str, Any]]:
    config = {"monitor": "loss", "patience": PATIENCE, "min_delta": min_delta, **config}
    return [{"class_name": "EarlyStopping", "config": config}]


# The loss falls by 0.06 in the first epochs, then by less and less. With NEVER_BETTER, no epoch is better than the
# first. With BETTER_FOR_A_WHILE, the third is, and then the sixth, which the job reaches only when it is extended.
NEVER_BETTER, BETTER_FOR_A_WHILE = 0.9, 0.11


def stops_after(losses: list[float], best: float, min_delta: float) -> int | None:
    """Return after which epoch an EarlyStopping that starts to count again stops; None if it does not."""
    wait = 0
    for epoch, loss in enumerate(losses, start=1):
        wait += 1
        if loss + min_delta < best:
            best, wait = loss, 0
        if wait >= PATIENCE:
            return epoch
    return None


@pytest.mark.parametrize("restore", [False, True], ids=["last weights", "best weights restored"])
@pytest.mark.parametrize("min_delta", [NEVER_BETTER, BETTER_FOR_A_WHILE])
def test_a_job_that_was_stopped_early_has_its_whole_patience(
    min_delta: float, restore: bool, spec_with: Callable[..., dict[str, Any]], train: Train
) -> None:
    callbacks = early_stopping(min_delta, restore_best_weights=restore)
    spec = spec_with(30, callbacks=callbacks)
    first = train(spec)
    assert first.outcome.reason is Reason.EARLY_STOPPED
    rest = train(**extended(first, spec, 10))

    unstopped = train(spec_with(len(first.epochs) + len(rest.epochs)))
    assert epochs_without_time(first, rest) == epochs_without_time(unstopped), "it continues from its last weights"
    losses = unstopped.history["loss"]
    stopped_after = len(first.epochs)
    best_epoch = stopped_after - PATIENCE
    assert len(rest.epochs) == stops_after(losses[stopped_after:], losses[best_epoch - 1], min_delta)
    assert len(rest.epochs) >= PATIENCE
    assert rest.outcome.reason is Reason.EARLY_STOPPED
    if restore and min_delta == NEVER_BETTER:
        assert checkpoints_by_name(rest)["last"][1] == checkpoints_by_name(first)["last"][1], (
            "the best epoch is in the first part"
        )
        assert checkpoints_by_name(rest)["last"][1] == checkpoints_by_name(train(spec_with(best_epoch)))["last"][1]

    again = train(**extended(rest, spec, 10))
    assert len(again.epochs) >= PATIENCE, "it starts to count again at each extension"


def test_a_job_that_was_stopped_early_trains_the_epochs_of_its_extension_only(
    spec_with: Callable[..., dict[str, Any]], train: Train
) -> None:
    """Thirty epochs were planned, and the job stopped after three."""
    spec = spec_with(30, callbacks=early_stopping(NEVER_BETTER))
    first = train(spec)
    rest = train(**extended(first, spec, 1))
    assert [epoch.epoch for epoch in first.epochs + rest.epochs] == [1, 2, 3, 4]
    assert rest.outcome.reason is Reason.COMPLETED


def test_the_other_callbacks_of_a_job_that_was_stopped_early_continue_to_count(
    spec_with: Callable[..., dict[str, Any]], train: Train
) -> None:
    """The rate is reduced in the fifth epoch: two epochs without a better one before the extension, two after it."""
    config = {"monitor": "loss", "patience": 4, "min_delta": NEVER_BETTER, "factor": 0.5}
    plateau = {"class_name": "ReduceLROnPlateau", "config": config}
    spec = spec_with(30, callbacks=[plateau, *early_stopping(NEVER_BETTER)])
    first = train(spec)
    rest = train(**extended(first, spec, 10))
    unstopped = train(spec_with(5, callbacks=[plateau]))
    assert epochs_without_time(first, rest) == epochs_without_time(unstopped)
    last = rest.epochs[-1]
    assert last.next_learning_rate == last.learning_rate / 2


def test_a_job_with_two_replicas_has_its_whole_patience(spec_with: Callable[..., dict[str, Any]], train: Train) -> None:
    spec = spec_with(30, callbacks=early_stopping(NEVER_BETTER))
    first = train(spec, cpu_devices=2)
    rest = train(**extended(first, spec, 10), cpu_devices=2)
    assert len(rest.epochs) == PATIENCE
    unstopped = train(spec_with(len(first.epochs) + PATIENCE), cpu_devices=2)
    assert epochs_without_time(first, rest) == epochs_without_time(unstopped)


def test_a_job_that_was_stopped_at_its_last_epoch(spec_with: Callable[..., dict[str, Any]], train: Train) -> None:
    spec = spec_with(1 + PATIENCE, callbacks=early_stopping(NEVER_BETTER))
    first = train(spec)
    assert first.outcome.reason is Reason.COMPLETED
    rest = train(**extended(first, spec, 1))
    assert len(rest.epochs) == 1
    assert rest.outcome.reason is Reason.COMPLETED


def test_a_callback_that_has_not_stopped_the_job_continues_to_count(
    spec_with: Callable[..., dict[str, Any]], train: Train
) -> None:
    """The patience counts one epoch before the extension and one after it, as in the job with all epochs."""
    callbacks = early_stopping(NEVER_BETTER)
    spec = spec_with(PATIENCE, callbacks=callbacks)
    first = train(spec)
    assert first.outcome.reason is Reason.COMPLETED
    rest = train(**extended(first, spec, 10))
    assert len(rest.epochs) == 1
    assert_same_as_whole(first, rest, train(spec_with(PATIENCE + 10, callbacks=callbacks)))


def test_an_early_stopped_job_that_is_only_resumed_trains_nothing(
    spec_with: Callable[..., dict[str, Any]], train: Train
) -> None:
    """If an attempt dies between the stop and the job's end, the next one must not train another epoch."""
    spec = spec_with(30, callbacks=early_stopping(NEVER_BETTER))
    first = train(spec)
    rest = train(**{**extended(first, spec, 10), "extended": False})
    assert rest.epochs == []
    assert rest.outcome.reason is Reason.EARLY_STOPPED
