from typing import Any

import pytest

from fitqueue.datasets import ArrayValues, ClassCount
from tests.unit.fitqueue.spec.checks.stored import array, examine, suspicions

# 64 samples sorted by their labels: 22, 21 and 21 of them.
SORTED = array(
    (),
    ArrayValues(0, 2, classes=(ClassCount(0, 22, 0, 21), ClassCount(1, 21, 22, 42), ClassCount(2, 21, 43, 63))),
    "int64",
)
# All three classes to train on, and only the last of them at the end.
ENDS_ALIKE = array(
    (),
    ArrayValues(0, 2, classes=(ClassCount(0, 10, 0, 40), ClassCount(1, 10, 1, 41), ClassCount(2, 44, 2, 63))),
    "int64",
)
ONE_HOT = array((3,), SORTED.values and ArrayValues(0, 1, classes=SORTED.values.classes, labels_per_sample=1))
ARRAYS = {"sorted": SORTED, "ends_alike": ENDS_ALIKE, "rows": ONE_HOT}
LOSS = {"class_name": "SparseCategoricalCrossentropy", "config": {}}
CATEGORICAL = {"loss": "categorical_crossentropy"}


def _examine(y: Any, split: float, **changes: Any) -> Any:
    data = {"y": y, "validation": None, **changes.pop("data", {})}
    return examine({"data": data, "fit": {"validation_split": split}, **changes}, **ARRAYS)


@pytest.mark.parametrize(
    ("y", "split", "changes", "text"),
    [
        ("sorted", 0.2, {}, "the 13 samples at its end, and they have a single class: 2."),
        ("sorted", 0.32, {}, "they have the class 2 (21 samples), of which the 43 samples to train"),
        ("sorted", 0.5, {}, "the class 2 (21 samples), of which the 32 samples to train on have none."),
        ("sorted", 0.7, {}, "classes 1 (21 samples), 2 (21 samples), of which the 19 samples to train on have none."),
        ("ends_alike", 0.3, {}, "a single class: 2."),
        ("rows", 0.5, {"compile": CATEGORICAL}, "the class 2 (21 samples)"),
        ("sorted", 0.5, {"compile": CATEGORICAL, "data": {"prepare": {"y": [{"one_hot": 3}]}}}, "the class 2"),
        ("sorted", 0.5, {"compile": {"loss": LOSS}}, "the class 2"),
    ],
)  # fmt: skip
def test_a_split_of_sorted_data(y: str, split: float, changes: dict[str, Any], text: str) -> None:
    [(pointer, message)] = suspicions(_examine(y, split, **changes))
    assert pointer == "/fit/validation_split"
    assert text in message
    assert "`data.shuffle_split: true`" in message


@pytest.mark.parametrize(
    ("y", "split", "changes"),
    [
        ("y", 0.2, {}),
        ("sorted", 0.0, {"data": {"validation": {"x": "x_test", "y": "y_test"}}}),
        ("sorted", 0.5, {"data": {"shuffle_split": True}}),
        ("sorted", 0.5, {"compile": {"loss": "mse", "metrics": []}}),
        ("weights", 0.5, {"compile": {"loss": "mse", "metrics": []}}),
    ],
)
def test_a_sound_split(y: str, split: float, changes: dict[str, Any]) -> None:
    assert suspicions(_examine(y, split, **changes)) == []


def test_a_shuffled_split_without_a_split_is_ignored() -> None:
    examined = examine({"data": {"shuffle_split": True}})
    ignored = [notice.pointer for notice in examined.notices if notice.code == "ignored"]
    assert ignored == ["/data/shuffle_split"]
    assert examined.spec is not None
    assert examined.spec.data.shuffle_split
