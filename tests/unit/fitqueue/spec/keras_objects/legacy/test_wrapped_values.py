"""Values that Keras wrote with their Python type around them."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, sequential_job

Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]

FIRST = "/model/config/layers/0/config"


def tuple_of(*items: Any) -> dict[str, Any]:
    return {"class_name": "__tuple__", "items": list(items)}


def test_tuples_and_shapes(parse: Parse) -> None:
    shape = {"class_name": "TensorShape", "items": [None, 12]}
    layers = [
        layer("Reshape", target_shape=tuple_of(4, 3), batch_input_shape=shape),
        layer("ZeroPadding1D", padding=tuple_of(1, 2)),
        layer("Reshape", target_shape=[7, 3, 1]),
        layer("Cropping2D", cropping=tuple_of(tuple_of(1, 0), [0, 1])),
    ]
    stored = parse(sequential_job(*layers)).spec.model.config["layers"]
    assert stored[0]["config"] == {"batch_shape": [None, 12]}
    assert stored[1]["config"] == {"target_shape": [4, 3]}
    assert stored[2]["config"] == {"padding": [1, 2]}
    assert stored[4]["config"] == {"cropping": [[1, 0], [0, 1]]}


@pytest.mark.parametrize(
    "mean",
    [
        {"type": "ndarray", "value": [1.0, 2.0]},
        {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}},
        {"class_name": "__tensor__", "config": {"value": [1.0, 2.0], "dtype": "float32"}},
    ],
)
def test_arrays(mean: Any, parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Normalization", mean=mean, variance=[1.0, 1.0], input_shape=[12])))
    assert parsed.spec.model.config["layers"][1]["config"]["mean"] == [1.0, 2.0]


def test_a_fault_inside_points_to_the_value_as_it_was_sent(only_fault: FindFault) -> None:
    fault = only_fault(sequential_job(layer("Conv1D", filters=2, kernel_size=tuple_of("3"), input_shape=[12, 1])))
    assert fault.pointer.startswith(f"{FIRST}/kernel_size/items")


@pytest.mark.parametrize("items", [None, 3, {"class_name": "__tuple__"}])
def test_a_tuple_without_items_is_a_fault(items: Any, only_fault: FindFault) -> None:
    wrapped = {"class_name": "__tuple__", "items": items}
    fault = only_fault(sequential_job(layer("Conv1D", filters=2, kernel_size=wrapped, input_shape=[12, 1])))
    assert fault.pointer == f"{FIRST}/kernel_size"


@pytest.mark.parametrize(("value", "meant"), [(0, False), (1, True), (0.0, False), (1.0, True)])
def test_zero_and_one_for_booleans(value: Any, meant: bool, parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Dense", units=3, use_bias=value)))
    assert parsed.spec.model.config["layers"][1]["config"]["use_bias"] is meant
    assert (f"{FIRST}/use_bias", "translated") in {(notice.pointer, notice.code) for notice in parsed.notices}


@pytest.mark.parametrize("value", [2, -1, 0.5, "1", [1]])
def test_other_numbers_are_no_booleans(value: Any, only_fault: FindFault) -> None:
    fault = only_fault(sequential_job(layer("Dense", units=3, use_bias=value)))
    assert (fault.pointer, fault.code) == (f"{FIRST}/use_bias", "wrong_type")
