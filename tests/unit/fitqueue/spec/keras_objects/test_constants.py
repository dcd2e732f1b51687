"""The arrays of the initializer Constant, such as the pretrained matrix of an Embedding."""

import json
from typing import Any

import pytest

from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.objects import FAULTY, check_object

MATRIX = [[0.5, 1.0], [2, 3.5], [4.0, -1]]


def check(value: Any, **fields: Any) -> tuple[Any, Findings]:
    findings = Findings()
    initializer = {"class_name": "Constant", "config": {"value": value}, **fields}
    return check_object(initializer, "initializers", Pointer(findings)), findings


@pytest.mark.parametrize(
    "sent",
    [
        MATRIX,
        {"class_name": "__numpy__", "config": {"value": MATRIX, "dtype": "float32"}},
        {"class_name": "__tensor__", "config": {"value": MATRIX, "dtype": "float32"}},
        {"type": "ndarray", "value": MATRIX},
    ],
)
def test_an_array_is_taken_in_each_form(sent: Any) -> None:
    canonical, findings = check(sent)
    assert findings.faults == []
    assert canonical == {"class_name": "Constant", "config": {"value": MATRIX}}


@pytest.mark.parametrize("value", [0, 0.5, -3, [1.0], [[[0.5]]]])
def test_numbers_and_lists_of_any_depth_are_taken(value: Any) -> None:
    assert check(value)[0]["config"] == {"value": value}


@pytest.mark.parametrize("module", ["tensorflow.python.ops.init_ops_v2", "tensorflow.python.ops.init_ops"])
def test_the_constant_initializer_of_tensorflow_is_that_of_keras(module: str) -> None:
    canonical, findings = check(MATRIX, module=module, registered_name="Constant")
    assert findings.faults == []
    assert canonical["config"] == {"value": MATRIX}


@pytest.mark.parametrize("module", ["tensorflow.python.ops.init_ops_v3", "tensorflow.python.ops", "numpy"])
def test_other_modules_are_custom(module: str) -> None:
    assert [fault.code for fault in check(MATRIX, module=module)[1].faults] == ["custom_object"]


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        True,
        None,
        {},
        [],
        [[], []],
        [[1.0, 2.0], [3.0]],
        [[1.0], 2.0],
        [1.0, True],
        [1.0, None],
        [["a"]],
        [{"value": 1.0}],
        {"class_name": "__numpy__", "config": {"value": "os"}},
        [[[[[[[[[1.0]]]]]]]]],
    ],
)
def test_what_is_not_an_array_is_refused(value: Any) -> None:
    canonical, findings = check(value)
    assert canonical is FAULTY
    [fault] = findings.faults
    assert (fault.code, "a nested list of numbers" in fault.message) == ("wrong_type", True)
    assert fault.pointer.startswith("/config/value")


def test_the_fault_of_a_large_array_shows_only_its_beginning() -> None:
    [fault] = check([[0.5] * 1000] * 100 + [[0.5]])[1].faults
    assert len(json.dumps(fault.received)) < 2000
