"""The limits of a service that a job decides itself: its epochs, and the names that its ModelCheckpoints give."""

from collections.abc import Sequence
from typing import Any

import pytest

from fitqueue.spec import FitSpec, KerasObject
from fitqueue.spec.checks.limits import check_checkpoints, check_epochs
from fitqueue.spec.findings import Findings, Pointer

SAMPLES = 100
DEFAULTS = {"save_best_only": False, "save_freq": "epoch", "period": 1}


def checkpoint(filepath: str, **config: Any) -> KerasObject:
    return KerasObject(class_name="ModelCheckpoint", config=DEFAULTS | {"filepath": filepath} | config)


EACH_EPOCH = checkpoint("{epoch}.weights.h5")


def faults(
    callbacks: Sequence[KerasObject], most: int, samples: int | None = SAMPLES, **fit: Any
) -> list[tuple[str, str]]:
    findings = Findings()
    check_checkpoints(FitSpec(**fit), callbacks, samples, most, Pointer(findings))
    return [(fault.pointer, fault.code) for fault in findings.faults]


@pytest.mark.parametrize(
    ("callback", "fit", "names"),
    [
        (EACH_EPOCH, {"epochs": 7}, 7),
        (checkpoint("{epoch}-{loss:.3f}.weights.h5", period=3), {"epochs": 7}, 2),
        # 100 samples make 4 batches of 32, so batches 3, 6, 9 and 12 of 12 are the steps 3, 2, 1 and 4 of their epochs.
        (checkpoint("{epoch}-{batch}.weights.h5", save_freq=3), {"epochs": 3}, 4),
        (checkpoint("{batch}.weights.h5", save_freq=3), {"epochs": 30}, 4),
        (checkpoint("{batch}.weights.h5", save_freq=2), {"epochs": 30}, 2),
        (checkpoint("{epoch}.weights.h5", save_freq=1), {"epochs": 30}, 30),
        (checkpoint("{epoch}.weights.h5", save_freq=8), {"epochs": 30}, 15),
        (checkpoint("{epoch}-{batch}.weights.h5", save_freq=1), {"epochs": 5, "steps_per_epoch": 2}, 10),
        (checkpoint("{epoch}-{batch}.weights.h5", save_freq=1), {"epochs": 5, "validation_split": 0.5}, 10),
    ],
)
def test_more_names_than_the_service_keeps(callback: KerasObject, fit: dict[str, Any], names: int) -> None:
    assert faults([callback], names, **fit) == []
    assert faults([callback], names - 1, **fit) == [("/0/config/filepath", "too_large")]


@pytest.mark.parametrize(
    "callback",
    [
        checkpoint("last.weights.h5"),
        checkpoint("{loss:.3f}.weights.h5"),  # the values may be equal
        checkpoint("{epoch}.weights.h5", save_best_only=True),
        checkpoint("last.weights.h5", save_freq=1),
    ],
)
def test_names_that_may_be_few(callback: KerasObject) -> None:
    assert faults([callback], 1, epochs=1000) == []


def test_a_job_that_may_end_before() -> None:
    assert faults([EACH_EPOCH, KerasObject(class_name="EarlyStopping")], 10, epochs=1000) == []


def test_batches_that_cannot_be_counted() -> None:
    assert faults([checkpoint("{epoch}-{batch}.weights.h5", save_freq=1)], 10, samples=None, epochs=1000) == []


def test_the_names_of_several_callbacks_are_added() -> None:
    others = [EACH_EPOCH, checkpoint("other-{epoch}.keras")]
    assert faults(others, 14, epochs=7) == []
    assert faults(others, 13, epochs=7) == [("/1/config/filepath", "too_large")]


@pytest.mark.parametrize(("epochs", "expected"), [(5, []), (6, [("/fit/epochs", "out_of_range")])])
def test_epochs(epochs: int, expected: list[tuple[str, str]]) -> None:
    findings = Findings()
    check_epochs(FitSpec(epochs=epochs), 5, Pointer(findings) / "fit")
    assert [(fault.pointer, fault.code) for fault in findings.faults] == expected
