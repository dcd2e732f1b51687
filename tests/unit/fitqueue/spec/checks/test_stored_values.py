from typing import Any

import pytest

from fitqueue.datasets import ArrayValues
from tests.unit.fitqueue.spec.checks.stored import array, examine, suspicions

WITH_NAN = array((4,), ArrayValues(-2.0, 2.0, integral=False, nan=1))
WITH_BOTH = array((4,), ArrayValues(None, None, nan=250, infinite=6))
NAN_WEIGHTS = array((), ArrayValues(1.0, 1.0, nan=1))
NEGATIVE_WEIGHTS = array((), ArrayValues(-0.75, 0.0, integral=False))


def test_a_sound_job_has_no_suspicions() -> None:
    assert suspicions(examine()) == []
    assert suspicions(examine({"data": {"sample_weight": "weights"}})) == []


@pytest.mark.parametrize(
    ("data", "pointer", "text"),
    [
        ({"x": "bad"}, "/data/x", "The array 'bad' has NaN in 1 of 256 values"),
        ({"x": "worse"}, "/data/x", "The array 'worse' has NaN in 250 and infinity in 6 of 256 values"),
        ({"x": {"dense_in": "bad"}}, "/data/x/dense_in", "'bad' has NaN in 1 of 256 values"),
        ({"y": "bad"}, "/data/y", "'bad' has NaN in 1 of 256 values"),
        ({"sample_weight": "nan_weights"}, "/data/sample_weight", "'nan_weights' has NaN in 1 of 64 values"),
        ({"validation": {"x": "bad", "y": "y"}}, "/data/validation/x", "'bad' has NaN in 1 of 256 values"),
        ({"validation": {"x": "x_test", "y": "y", "sample_weight": "nan_weights"}},
         "/data/validation/sample_weight", "'nan_weights' has NaN in 1 of 64 values"),
        ({"sample_weight": "negative"}, "/data/sample_weight", "The sample weights 'negative' go from -0.75 to 0."),
        ({"validation": {"x": "x", "y": "y"}}, "/data/validation/x", "are those to train on"),
    ],
)  # fmt: skip
def test_values_that_spoil_a_training(data: dict[str, Any], pointer: str, text: str) -> None:
    arrays = {"bad": WITH_NAN, "worse": WITH_BOTH, "nan_weights": NAN_WEIGHTS, "negative": NEGATIVE_WEIGHTS}
    if isinstance(data.get("x"), dict):
        data = {**data, "validation": {"x": {"dense_in": "x_test"}, "y": "y_test"}}
    notices = examine({"data": data}, **arrays).notices
    codes = {"non_finite", "suspicious"}
    [(found, message)] = [(notice.pointer, notice.message) for notice in notices if notice.code in codes]
    assert found == pointer
    assert text in message


@pytest.mark.parametrize(
    ("shape", "message"),
    [((0, 4), "there are no samples"), ((64, 0), "there are no values in a sample"), ((64, 3, 0), "no values")],
)
@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"x": "empty"}, "/data/x"),
        ({"y": "empty"}, "/data/y"),
        ({"sample_weight": "empty"}, "/data/sample_weight"),
        ({"validation": {"x": "empty", "y": "y_test"}}, "/data/validation/x"),
        ({"validation": {"x": "x_test", "y": "empty"}}, "/data/validation/y"),
        ({"validation": {"x": "x_test", "y": "y_test", "sample_weight": "empty"}}, "/data/validation/sample_weight"),
    ],
)
def test_arrays_without_values_are_refused(
    data: dict[str, Any], pointer: str, shape: tuple[int, ...], message: str
) -> None:
    empty = array(shape[1:], None)
    examined = examine({"data": data}, empty=type(empty)(shape, "float32", ArrayValues(None, None)))
    [fault] = examined.faults
    assert (fault.pointer, fault.code, fault.received) == (pointer, "bad_shape", list(shape))
    assert message in fault.message


def test_both_arrays_of_a_validation_without_samples_are_named() -> None:
    empty = type(array((), None))((0,), "float32", ArrayValues(None, None))
    examined = examine({"data": {"validation": {"x": "empty", "y": "empty"}}}, empty=empty)
    assert [(fault.pointer, fault.code) for fault in examined.faults] == [
        ("/data/validation/x", "bad_shape"),
        ("/data/validation/y", "bad_shape"),
    ]
