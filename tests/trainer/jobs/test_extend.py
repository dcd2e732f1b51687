"""A job that is extended trains as if it had been submitted with all its epochs, to the last bit."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.states import Reason
from tests.trainer.jobs.conftest import DENSE
from tests.trainer.jobs.test_resume import CALLBACKS, HEAD, JOBS, SHUFFLED, files, layer, places, sequential
from workers.shared.protocol import Progress, Resumed, SnapshotWritten, Stop

Train = Callable[..., Any]
MakeSpec = Callable[..., dict[str, Any]]

FIRST, MORE = 2, 3
WHOLE = FIRST + MORE
CASES: dict[str, dict[str, Any]] = {
    name: JOBS[name]
    for name in (
        "dropout, noise, batch normalization",
        "averages",
        "averages that are swapped",
        "gradients accumulated over epochs",
        "a schedule",
        "a scheduling callback",
        "epochs that go on in the data",
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
def submitted(make_spec: MakeSpec) -> Callable[..., dict[str, Any]]:
    """A job that was submitted with so many epochs."""

    def submitted(epochs: int, **fields: Any) -> dict[str, Any]:
        job = {"model": DENSE, "fit": SHUFFLED, **fields}
        return make_spec(**{**job, "fit": {**job["fit"], "epochs": epochs}})

    return submitted


def extended(ended: Any, spec: dict[str, Any], more: int) -> dict[str, Any]:
    """What a worker says to the child of the job that ended so, when it was given more epochs."""
    [snapshot] = places(ended)[-1:]
    epochs = spec["fit"]["epochs"] + more
    return {
        "spec": {**spec, "fit": {**spec["fit"], "epochs": epochs}},
        "snapshot": str(ended.directory / snapshot.file),
        "extended": True,
        "attempt": 2,
    }


def timeless(trained: Any) -> list[Any]:
    return [epoch.model_copy(update={"seconds": 0.0}) for epoch in trained.epochs]


def check_like_whole(first: Any, rest: Any, whole: Any) -> None:
    assert timeless(rest) == timeless(whole)[len(first.epochs) :]
    assert rest.ending == whole.ending
    assert files(first) | files(rest) == files(whole)
    assert places(rest)[-1].sha256 == places(whole)[-1].sha256, "what a third part would go on from"


@pytest.mark.parametrize(
    ("name", "devices"),
    [
        *((name, 1) for name in CASES),
        *((name, 2) for name in MIRRORED),
    ],
)
def test_an_extended_job_is_the_job_with_all_epochs(
    name: str, devices: int, submitted: Callable[..., dict[str, Any]], train: Train
) -> None:
    spec = submitted(FIRST, **CASES[name])
    first = train(spec, cpu_devices=devices)
    assert first.ending.reason is Reason.COMPLETED
    rest = train(**extended(first, spec, MORE), cpu_devices=devices)
    [resumed] = rest.of(Resumed)
    assert (resumed.epoch, resumed.step, resumed.differences) == (FIRST, 0, [])
    assert [epoch.epoch for epoch in rest.epochs] == list(range(FIRST + 1, WHOLE + 1))
    check_like_whole(first, rest, train(submitted(WHOLE, **CASES[name]), cpu_devices=devices))


def test_extended_twice(submitted: Callable[..., dict[str, Any]], train: Train) -> None:
    fields = CASES["dropout and three callbacks"]
    spec = submitted(1, **fields)
    first = train(spec)
    once = extended(first, spec, 1)
    second = train(**once)
    third = train(**extended(second, once["spec"], WHOLE - 2))
    whole = train(submitted(WHOLE, **fields))
    assert timeless(first) + timeless(second) + timeless(third) == timeless(whole)
    assert files(first) | files(second) | files(third) == files(whole)


def test_a_job_that_was_cancelled_within_an_epoch(submitted: Callable[..., dict[str, Any]], train: Train) -> None:
    fields = CASES["dropout, noise, batch normalization"]

    def stop_at(event: Any) -> Stop | None:
        at = isinstance(event, SnapshotWritten) and (event.epoch, event.step) == (1, 2)
        return Stop(why="cancel") if at else None

    # Eight samples a batch: the word is heard long before the epoch is over.
    fields = {**fields, "fit": {**SHUFFLED, "batch_size": 8}}
    spec = submitted(FIRST, **fields)
    first = train(spec, stop_at=stop_at, snapshot_seconds=0)
    assert first.ending.reason is Reason.CANCELLED_BY_USER
    place = places(first)[-1]
    assert place.epoch == 1
    assert place.step > 2
    rest = train(**extended(first, spec, MORE), snapshot_seconds=0)
    whole = train(submitted(WHOLE, **fields), snapshot_seconds=0)
    assert timeless(rest) == timeless(whole)[1:]
    assert files(rest)["last"] == files(whole)["last"]
    assert not any(isinstance(event, Progress) and event.epoch == 1 for event in rest.said)


# --- Where a callback had ended it ----------------------------------------------------------------------------------

PATIENCE = 2


def stopping(min_delta: float, **config: Any) -> list[dict[str, Any]]:
    config = {"monitor": "loss", "patience": PATIENCE, "min_delta": min_delta, **config}
    return [{"class_name": "EarlyStopping", "config": config}]


# The loss falls by 0.06 in the first epochs and by less and less, so that nothing is better than the first by the one;
# by the other the third is, and the sixth, which the job reaches only when it is extended.
NEVER_BETTER, BETTER_FOR_A_WHILE = 0.9, 0.11


def stops_after(losses: list[float], best: float, min_delta: float) -> int | None:
    """As Keras's EarlyStopping, with its patience whole; the number of epochs that it lets pass."""
    wait = 0
    for trained, loss in enumerate(losses, start=1):
        wait += 1
        if loss + min_delta < best:
            best, wait = loss, 0
        if wait >= PATIENCE:
            return trained
    return None


@pytest.mark.parametrize("restore", [False, True], ids=["as it is", "best weights restored"])
@pytest.mark.parametrize("min_delta", [NEVER_BETTER, BETTER_FOR_A_WHILE])
def test_a_job_that_was_stopped_early_has_its_patience_again(
    min_delta: float, restore: bool, submitted: Callable[..., dict[str, Any]], train: Train
) -> None:
    callbacks = stopping(min_delta, restore_best_weights=restore)
    spec = submitted(30, callbacks=callbacks)
    first = train(spec)
    assert first.ending.reason is Reason.EARLY_STOPPED
    rest = train(**extended(first, spec, 10))

    without = train(submitted(len(first.epochs) + len(rest.epochs)))
    assert timeless(first) + timeless(rest) == timeless(without), "it trains on from its last weights, not its best"
    losses = without.history["loss"]
    stopped = len(first.epochs)
    best_epoch = stopped - PATIENCE  # where the patience began
    assert len(rest.epochs) == stops_after(losses[stopped:], losses[best_epoch - 1], min_delta)
    assert len(rest.epochs) >= PATIENCE
    assert rest.ending.reason is Reason.EARLY_STOPPED
    if restore and min_delta == NEVER_BETTER:
        assert files(rest)["last"][1] == files(first)["last"][1], "the best is that of the first part"
        assert files(rest)["last"][1] == files(train(submitted(best_epoch)))["last"][1]

    again = train(**extended(rest, {**spec, "fit": {**spec["fit"], "epochs": 40}}, 10))
    assert len(again.epochs) >= PATIENCE, "each time anew"


def test_two_replicas_have_their_patience_again(submitted: Callable[..., dict[str, Any]], train: Train) -> None:
    spec = submitted(30, callbacks=stopping(NEVER_BETTER))
    first = train(spec, cpu_devices=2)
    rest = train(**extended(first, spec, 10), cpu_devices=2)
    assert len(rest.epochs) == PATIENCE
    without = train(submitted(len(first.epochs) + PATIENCE), cpu_devices=2)
    assert timeless(first) + timeless(rest) == timeless(without)


def test_a_job_that_was_stopped_at_its_last_epoch(submitted: Callable[..., dict[str, Any]], train: Train) -> None:
    spec = submitted(1 + PATIENCE, callbacks=stopping(NEVER_BETTER))
    first = train(spec)
    assert first.ending.reason is Reason.COMPLETED
    rest = train(**extended(first, spec, 1))
    assert len(rest.epochs) == 1
    assert rest.ending.reason is Reason.COMPLETED


def test_a_callback_that_had_not_ended_it_goes_on_counting(
    submitted: Callable[..., dict[str, Any]], train: Train
) -> None:
    """One epoch without something better before the extension, and one after it: as in the job with all epochs."""
    callbacks = stopping(NEVER_BETTER)
    spec = submitted(PATIENCE, callbacks=callbacks)
    first = train(spec)
    assert first.ending.reason is Reason.COMPLETED
    rest = train(**extended(first, spec, 10))
    assert len(rest.epochs) == 1
    check_like_whole(first, rest, train(submitted(PATIENCE + 10, callbacks=callbacks)))


def test_without_the_word_that_it_was_extended_it_trains_nothing(
    submitted: Callable[..., dict[str, Any]], train: Train
) -> None:
    """The twin: an attempt that dies between the stop and the job's end must not train another epoch."""
    spec = submitted(30, callbacks=stopping(NEVER_BETTER))
    first = train(spec)
    rest = train(**{**extended(first, spec, 10), "extended": False})
    assert rest.epochs == []
    assert rest.ending.reason is Reason.EARLY_STOPPED
