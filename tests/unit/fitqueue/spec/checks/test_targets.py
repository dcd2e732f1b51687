import pytest

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.ranges import Range
from fitqueue.spec.checks.targets import Output, TargetPointers, Targets, check_targets
from fitqueue.spec.findings import Findings, Pointer


def _notices(
    loss: str, stored: Range | None, output: Output, shape: tuple[int, ...] = (64, 1), labels: int | None = None
) -> list[str]:
    """Return the messages of the notices about these targets."""
    findings = Findings()
    pointer = Pointer(findings)
    pointers = TargetPointers(pointer / "prepare", pointer / "loss", pointer / "units")
    check_targets(Targets(ArrayInfo(shape, "float32"), [], stored, labels), loss, output, pointers)
    assert findings.faults == []
    assert {notice.pointer for notice in findings.notices} <= {"/loss"}
    return [notice.message for notice in findings.notices]


SIGMOID, SOFTMAX, LINEAR = Output([1], "sigmoid"), Output([3], "softmax"), Output([1], "linear")


@pytest.mark.parametrize(
    ("loss", "values", "output", "message"),
    [
        ("binary_crossentropy", Range(-1, 1), SIGMOID, "is for two classes, but the labels go from -1 to 1."),
        ("bce", Range(0, 9), SIGMOID, "is for two classes, but the labels go from 0 to 9."),
        ("binary_crossentropy", Range(0.0, 255.5, integral=False), SIGMOID,
         "expects targets from 0 to 1, but the targets go from 0 to 255.5."),
        ("hinge", Range(0, 2), LINEAR, "expects targets from -1 to 1, but the labels go from 0 to 2."),
        ("poisson", Range(-3, 7), LINEAR, "expects targets of at least 0, but the labels go from -3 to 7."),
        ("msle", Range(-0.5, 7, integral=False), LINEAR, "expects targets of at least 0, but the targets go"),
        ("kl_divergence", Range(0, 4), LINEAR, "expects targets from 0 to 1"),
    ],
)  # fmt: skip
def test_targets_that_the_loss_has_no_meaning_for(loss: str, values: Range, output: Output, message: str) -> None:
    [notice] = _notices(loss, values, output)
    assert message in notice


@pytest.mark.parametrize(
    ("loss", "values", "output"),
    [
        ("binary_crossentropy", Range(0, 1), SIGMOID),
        ("binary_crossentropy", Range(0.1, 0.9, integral=False), SIGMOID),
        ("binary_crossentropy", None, SIGMOID),
        ("hinge", Range(-1, 1), LINEAR),
        ("hinge", Range(0, 1), LINEAR),
        ("poisson", Range(0, 1000), LINEAR),
        ("mse", Range(-1e9, 1e9), LINEAR),
        ("mae", Range(-1, 1), LINEAR),
    ],
)
def test_targets_that_the_loss_accepts(loss: str, values: Range | None, output: Output) -> None:
    assert _notices(loss, values, output) == []


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
def test_several_labels_for_a_softmax(loss: str) -> None:
    of = {labels: _notices(loss, Range(0, 1), SOFTMAX, (64, 3), labels) for labels in (None, 1, 2)}
    assert of[None] == of[1] == []
    [notice] = of[2]
    assert "A sample has up to 2 labels" in notice
    assert _notices(loss, Range(0, 1), Output([3], "sigmoid"), (64, 3), 2) == []


def test_rows_outside_of_what_a_categorical_loss_takes() -> None:
    [notice] = _notices("categorical_crossentropy", Range(0, 255), SOFTMAX, (64, 3))
    assert "expects targets from 0 to 1, but the labels go from 0 to 255." in notice
