"""`class_weight` of `fit` against the outputs of a model, before Keras builds it."""

from typing import Any

import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec import examine_job
from fitqueue.spec.fields.class_weight import has_class_axis, label_shape, product_shape, separated

ARRAYS = {"x": ArrayInfo((20, 4), "float32"), "y": ArrayInfo((20, 1), "float32"), "y3": ArrayInfo((20,), "int64")}


def dense(name: str, **config: Any) -> dict[str, Any]:
    inbound = [[["a", 0, 0, {}]]]
    return {"class_name": "Dense", "name": name, "config": {"name": name, **config}, "inbound_nodes": inbound}


def job(class_weight: Any) -> dict[str, Any]:
    """Return a job with two outputs, as Keras 2 writes its model."""
    inputs = {"name": "a", "batch_input_shape": [None, 4]}
    return {
        "model": {
            "class_name": "Functional",
            "config": {
                "name": "m",
                "layers": [
                    {"class_name": "InputLayer", "name": "a", "config": inputs, "inbound_nodes": []},
                    dense("o1", units=1),
                    dense("o2", units=3, activation="softmax"),
                ],
                "input_layers": [["a", 0, 0]],
                "output_layers": [["o1", 0, 0], ["o2", 0, 0]],
            },
            "keras_version": "2.8.0",
            "backend": "tensorflow",
        },
        "compile": {"optimizer": "adam", "loss": {"o1": "mse", "o2": "sparse_categorical_crossentropy"}},
        "data": {"dataset": "CASE4", "x": "x", "y": {"o1": "y", "o2": "y3"}},
        "fit": {"epochs": 1, "class_weight": class_weight},
        "seed": 1,
    }


def faults(class_weight: Any) -> list[tuple[str, str]]:
    examined = examine_job(job(class_weight), lambda name: DatasetInfo(name, ARRAYS))
    return [(fault.pointer, fault.code) for fault in examined.faults]


@pytest.mark.parametrize(
    "class_weight",
    [{"o2": {"0": 1, "1": 2}}, {"o2": "balanced"}, {"o1": {"0": 2}, "o2": "balanced"}, None],
)
def test_outputs_may_have_class_weights(class_weight: Any) -> None:
    assert faults(class_weight) == []


@pytest.mark.parametrize(
    ("class_weight", "expected"),
    [
        ({"0": 1, "1": 2}, ("/fit/class_weight", "conflict")),
        ("balanced", ("/fit/class_weight", "conflict")),
        ({"o3": {"0": 1}}, ("/fit/class_weight/o3", "unknown_name")),
        ({"o2": {"cat": 1}}, ("/fit/class_weight/o2/cat", "bad_name")),
        ({"o2": {"0": "2"}}, ("/fit/class_weight/o2/0", "wrong_type")),
        ({"o2": {}}, ("/fit/class_weight/o2", "out_of_range")),
        ({"o2": "balance"}, ("/fit/class_weight/o2", "unknown_name")),
        ({"o2": {"0": 1}, "o1": 2}, ("/fit/class_weight/o1", "wrong_type")),
        ([1, 2], ("/fit/class_weight", "wrong_type")),
    ],
)
def test_a_fault_points_to_the_output_or_the_class(class_weight: Any, expected: tuple[str, str]) -> None:
    assert faults(class_weight) == [expected]


@pytest.mark.parametrize(
    ("targets", "outputs", "axis", "labels", "in_training"),
    [
        ([], [3], False, [], []),
        ([1], [3], True, [], [1]),
        ([3], [3], True, [], [3]),
        ([], [1], False, [], []),
        ([6], [6, 3], False, [6], [6]),
        ([6, 1], [6, 3], True, [6], [6, 1]),
        ([8, 8], [8, 8, 3], False, [8, 8], [8, 8]),
        ([8, 8, 3], [8, 8, 3], True, [8, 8], [8, 8, 3]),
        ([8, 8], [8, 8, 1], False, [8, 8], [8, 8, 1]),
        ([8, 8, 1], [8, 8, 1], True, [8, 8], [8, 8, 1]),
    ],
)
def test_where_the_classes_are(
    targets: list[int], outputs: list[int], axis: bool, labels: list[int], in_training: list[int]
) -> None:
    assert has_class_axis(targets, outputs) is axis
    assert label_shape(targets, outputs) == labels
    assert separated(targets, outputs) == in_training


@pytest.mark.parametrize(
    ("weights", "labels", "product"),
    [
        ([], [], []),
        ([1], [], []),
        ([], [8, 8], [8, 8]),
        ([8], [8, 6], [8, 6]),
        ([8, 6, 1], [8, 6], [8, 6]),
        ([7], [], [7]),
        ([7], [8], None),
        ([8, 7], [8, 6], None),
    ],
)
def test_sample_weights_and_class_weights_are_multiplied(
    weights: list[int], labels: list[int], product: list[int] | None
) -> None:
    assert product_shape(weights, labels) == product
