"""The operations on masks in what Keras 3 writes; `tests/trainer/test_masks.py` compares them with Keras."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import Fault, InvalidSpec
from fitqueue.spec import ParsedJob, parse_job

# What Keras 3.15 writes for an Embedding with mask_zero and an LSTM.
MASKED: dict[str, Any] = json.loads(Path(__file__).with_name("masked.json").read_text())
OPERATION, LSTM = 2, 3
PLACE = f"/model/config/layers/{OPERATION}"
ARRAYS = {"x": ArrayInfo((64, 6), "int32"), "y": ArrayInfo((64, 1), "float32")}


def parse(model: Any) -> ParsedJob:
    compiled, data = {"optimizer": "adam", "loss": "mse"}, {"dataset": "words", "x": "x", "y": "y"}
    return parse_job(
        {"model": model, "compile": compiled, "data": data, "seed": 1}, lambda name: DatasetInfo(name, ARRAYS)
    )


def faults_of(model: Any) -> list[Fault]:
    with pytest.raises(InvalidSpec) as raised:
        parse(model)
    return raised.value.errors


@pytest.fixture
def with_operation() -> Callable[..., dict[str, Any]]:
    """A function that returns the model with some fields of its operation changed."""

    def change(**fields: Any) -> dict[str, Any]:
        model = copy.deepcopy(MASKED)
        model["config"]["layers"][OPERATION] |= fields
        return model

    return change


def test_a_mask_is_kept_and_passed_on() -> None:
    parsed = parse(MASKED)
    layers = parsed.spec.model.config["layers"]
    assert (layers[OPERATION]["class_name"], layers[OPERATION]["module"]) == ("NotEqual", "keras.ops")
    assert layers[OPERATION]["inbound_nodes"][0]["args"][1] == 0
    assert layers[LSTM]["inbound_nodes"][0]["kwargs"]["mask"]["config"]["keras_history"] == ["not_equal", 0, 0]
    assert parsed.notices == []


def test_a_stored_mask_can_be_sent_again() -> None:
    stored = parse(MASKED).spec.to_json()
    assert parse(stored["model"]).spec.to_json() == stored


@pytest.mark.parametrize("module", ["keras.src.ops.numpy", "keras.ops", "keras.ops.numpy"])
def test_the_modules_of_operations(module: str, with_operation: Callable[..., Any]) -> None:
    assert parse(with_operation(module=module)).spec == parse(MASKED).spec


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"class_name": "Matmul", "registered_name": "Matmul"}, PLACE, "not_supported"),
        ({"class_name": "BroadcastTo", "registered_name": None}, PLACE, "not_supported"),
        ({"registered_name": "mine>NotEqual"}, PLACE, "not_supported"),
        ({"module": "keras.src.ops.numpy.x"}, PLACE, "not_supported"),
        ({"module": "os"}, f"{PLACE}/module", "custom_object"),
        ({"config": {"name": "not_equal", "axis": 1}}, f"{PLACE}/config/axis", "unknown_field"),
        ({"config": {"name": "../x"}}, f"{PLACE}/config/name", "bad_name"),
        ({"class_name": "Any", "registered_name": "Any", "config": {"name": "not_equal", "axis": "x"}},
         f"{PLACE}/config/axis", "wrong_type"),
        ({"class_name": "ExpandDims", "registered_name": None}, f"{PLACE}/config", "missing"),
        ({"inbound_nodes": []}, f"{PLACE}/inbound_nodes", "bad_graph"),
        ({"inbound_nodes": [{"args": [], "kwargs": {"x1": 0}}]}, f"{PLACE}/inbound_nodes/0/kwargs/x1", "unknown_field"),
        ({"surprise": 1}, f"{PLACE}/surprise", "unknown_field"),
    ],
)  # fmt: skip
def test_refused_operations(
    fields: dict[str, Any], pointer: str, code: str, with_operation: Callable[..., dict[str, Any]]
) -> None:
    assert (pointer, code) in {(fault.pointer, fault.code) for fault in faults_of(with_operation(**fields))}


def test_an_operation_is_no_layer_of_a_sequential() -> None:
    model = {"class_name": "Sequential", "config": {"layers": [MASKED["config"]["layers"][OPERATION]]}}
    assert [(fault.pointer, fault.code) for fault in faults_of(model)] == [("/model/config/layers/0", "not_supported")]
