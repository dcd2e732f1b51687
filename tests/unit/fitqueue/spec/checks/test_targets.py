"""Targets that a loss has no meaning for."""

import pytest

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.ranges import Range
from fitqueue.spec.checks.targets import Output, TargetPointers, Targets, check_targets
from fitqueue.spec.fields.data import PrepareStep
from fitqueue.spec.findings import Findings, Pointer


def _notices(
    loss: str,
    values: Range | None,
    *steps: dict[str, float],
    activation: str = "sigmoid",
    labels_per_sample: int | None = None,
) -> list[str]:
    findings = Findings()
    pointer = Pointer(findings)
    prepared = [PrepareStep.model_validate(step) for step in steps]
    targets = Targets(ArrayInfo((64, 3), "float32"), prepared, values, labels_per_sample)
    pointers = TargetPointers(pointer / "prepare", pointer / "loss", pointer / "units")
    check_targets(targets, loss, Output([3], activation), pointers)
    assert findings.faults == []
    assert all((notice.pointer, notice.code) == ("/loss", "suspicious") for notice in findings.notices)
    return [notice.message for notice in findings.notices]


@pytest.mark.parametrize(
    ("loss", "values", "words"),
    [
        ("binary_crossentropy", Range(-1, 1), "the labels go from -1 to 1"),
        ("bce", Range(-1, 1), "the labels go from -1 to 1"),
        ("binary_crossentropy", Range(0, 2), "the labels go from 0 to 2"),
        ("binary_crossentropy", Range(0.5, 255, integral=False), "targets from 0 to 1, but they go from 0.5 to 255"),
        ("binary_crossentropy", Range(-0.5, 1, integral=False), "targets from 0 to 1, but they go from -0.5 to 1"),
        ("BinaryFocalCrossentropy", Range(-1, 1), "the labels go from -1 to 1"),
        ("poisson", Range(-3, 4), "targets of 0 or more, but they go from -3 to 4"),
        ("msle", Range(-3, 4), "targets of 0 or more, but they go from -3 to 4"),
        ("kl_divergence", Range(-1, 1), "targets from 0 to 1, but they go from -1 to 1"),
        ("hinge", Range(0, 9), "targets from -1 to 1, but they go from 0 to 9"),
    ],
)
def test_values_on_either_side_are_suspicious(loss: str, values: Range, words: str) -> None:
    [message] = _notices(loss, values)
    assert words in message


@pytest.mark.parametrize(
    ("loss", "values"),
    [
        ("binary_crossentropy", Range(0, 1)),
        ("binary_crossentropy", Range(0.2, 0.7, integral=False)),
        ("binary_crossentropy", None),
        ("hinge", Range(-1, 1)),
        ("hinge", Range(0, 1)),
        ("poisson", Range(0, 1e9)),
        ("mse", Range(-1e9, 1e9)),
    ],
)
def test_values_that_the_loss_is_for(loss: str, values: Range | None) -> None:
    assert _notices(loss, values) == []


def test_rounding_is_not_suspicious() -> None:
    assert _notices("binary_crossentropy", Range(0, 255), {"scale": 0.00392157}) == []
    assert len(_notices("binary_crossentropy", Range(0, 255), {"scale": 0.0078})) == 1


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
def test_several_labels_for_a_softmax(loss: str) -> None:
    by_labels = {
        labels: _notices(loss, Range(0, 1), activation="softmax", labels_per_sample=labels) for labels in (None, 1, 2)
    }
    assert by_labels[None] == by_labels[1] == []
    [notice] = by_labels[2]
    assert "A sample has up to 2 labels" in notice
    assert _notices(loss, Range(0, 1), labels_per_sample=2) == []


def test_rows_outside_of_what_a_categorical_loss_takes() -> None:
    [notice] = _notices("categorical_crossentropy", Range(0, 255), activation="softmax")
    assert "targets from 0 to 1, but they go from 0 to 255." in notice
