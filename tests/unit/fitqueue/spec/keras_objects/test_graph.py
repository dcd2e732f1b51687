"""Functional models: the connections of their layers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob

Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]
FindFaults = Callable[[Any], list[Fault]]

LAYERS = "/model/config/layers"


def _tensor(layer: str, node: int = 0, index: int = 0) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, index]}}


def _layer(class_name: str, name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    nodes = [{"args": list(inputs), "kwargs": {}}] if inputs else []
    return {"class_name": class_name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def _job(**model: Any) -> dict[str, Any]:
    layers = [
        _layer("InputLayer", "numbers", shape=[12]),
        _layer("Dense", "left", _tensor("numbers"), units=3),
        _layer("Dense", "right", _tensor("numbers"), units=3),
        _layer("Concatenate", "both", [_tensor("left"), _tensor("right")]),
    ]
    config = {"layers": layers, "input_layers": [["numbers", 0, 0]], "output_layers": [["both", 0, 0]], **model}
    return {
        "model": {"class_name": "Functional", "config": config},
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "seed": 1,
    }


def test_a_single_input_or_output_is_stored_without_a_list(parse: Parse) -> None:
    config = parse(_job()).spec.model.config
    assert config["input_layers"] == ["numbers", 0, 0]
    assert parse(_job(input_layers=["numbers", 0, 0], output_layers=["both", 0, 0])).spec.model.config == config


def test_only_the_history_of_a_tensor_is_kept(parse: Parse) -> None:
    job = _job()
    tensor = job["model"]["config"]["layers"][1]["inbound_nodes"][0]["args"][0]
    tensor["config"] |= {"shape": [None, 99], "dtype": "float32"}
    tensor["module"] = "os"
    assert parse(job).spec == parse(_job()).spec


def test_a_name_beside_the_config_is_used(parse: Parse) -> None:
    job = _job()
    layer = job["model"]["config"]["layers"][1]
    layer["name"] = layer["config"].pop("name")
    assert parse(job).spec == parse(_job()).spec


@pytest.mark.parametrize(
    ("index", "change", "pointer", "code"),
    [
        (1, {"inbound_nodes": [[["numbers", 0]]]}, f"{LAYERS}/1/inbound_nodes", "bad_graph"),
        (1, {"inbound_nodes": [[["numbrs", 0, 0, {}]]]}, f"{LAYERS}/1/inbound_nodes/0", "bad_graph"),
        (1, {"inbound_nodes": []}, f"{LAYERS}/1/inbound_nodes", "bad_graph"),
        (1, {"inbound_nodes": [{"args": [_tensor("numbrs")]}]}, f"{LAYERS}/1/inbound_nodes/0", "bad_graph"),
        (1, {"inbound_nodes": [{"args": [_tensor("numbers", 1)]}]}, f"{LAYERS}/1/inbound_nodes/0", "bad_graph"),
        (1, {"inbound_nodes": [{"args": [_tensor("numbers", -1)]}]}, f"{LAYERS}/1/inbound_nodes/0", "bad_graph"),
        (1, {"inbound_nodes": [{"args": [_tensor("both")]}]}, LAYERS, "bad_graph"),
        (1, {"inbound_nodes": [{"args": [_tensor("left")]}]}, LAYERS, "bad_graph"),
        (
            1,
            {"inbound_nodes": [{"args": [_tensor("numbers")], "kwargs": {"evil": 1}}]},
            f"{LAYERS}/1/inbound_nodes/0/kwargs/evil",
            "unknown_field",
        ),
        (1, {"config": {"units": 3}}, f"{LAYERS}/1", "missing"),
        (2, {"config": {"units": 3, "name": "left"}}, f"{LAYERS}/2/config/name", "duplicate_name"),
        (1, {"class_name": "Multiply", "module": "keras.src.ops.numpy"}, f"{LAYERS}/1", "not_supported"),
    ],
)
def test_layers_that_are_not_connected_correctly(
    index: int, change: dict[str, Any], pointer: str, code: str, find_faults: FindFaults
) -> None:
    job = copy.deepcopy(_job())
    job["model"]["config"]["layers"][index] |= change
    fault = find_faults(job)[0]
    assert (fault.pointer, fault.code) == (pointer, code)


@pytest.mark.parametrize(
    ("model", "pointer", "code"),
    [
        ({"output_layers": [["left", 0, 0], ["nowhere", 0, 0]]}, "/model/config/output_layers/1", "bad_graph"),
        ({"output_layers": {"a": ["left", 0, 0], "b": ["right", 1, 0]}}, "/model/config/output_layers/b", "bad_graph"),
        ({"output_layers": [["left", 0, 0]] * 65}, "/model/config/output_layers", "bad_graph"),
        ({"output_layers": []}, "/model/config/output_layers", "bad_graph"),
        ({"output_layers": {}}, "/model/config/output_layers", "bad_graph"),
        ({"output_layers": [[["left", 0, 0]]]}, "/model/config/output_layers", "bad_graph"),
        ({"output_layers": [["nowhere", 0, 0]]}, "/model/config/output_layers", "bad_graph"),
        ({"output_layers": "both"}, "/model/config/output_layers", "bad_graph"),
        ({"input_layers": None}, "/model/config/input_layers", "bad_graph"),
        ({"input_layers": [["numbers", 0]]}, "/model/config/input_layers", "bad_graph"),
    ],
)
def test_invalid_inputs_and_outputs(model: dict[str, Any], pointer: str, code: str, only_fault: FindFault) -> None:
    fault = only_fault(_job(**model))
    assert (fault.pointer, fault.code) == (pointer, code)


def test_a_long_chain_in_reverse_order_is_not_a_cycle(parse: Parse) -> None:
    chain = [_layer("Dense", f"d{i}", _tensor(f"d{i - 1}" if i else "numbers"), units=2) for i in range(300)]
    layers = [*reversed(chain), _layer("InputLayer", "numbers", shape=[12])]
    parse(_job(layers=layers, output_layers=["d299", 0, 0]))


@pytest.mark.parametrize(
    "outputs",
    [
        {"u": {"a": ["left", 0, 0]}, "v": [["right", 0, 0], ["both", 0, 0]]},
        [["left", 0, 0], [["right", 0, 0]]],
        [[["left", 0, 0], ["right", 0, 0]]],
    ],
)
def test_nested_outputs_are_refused_for_that_reason(outputs: Any, only_fault: FindFault) -> None:
    fault = only_fault(_job(output_layers=outputs))
    assert (fault.pointer, fault.code) == ("/model/config/output_layers", "bad_graph")
    assert "These are nested" in fault.message
    assert "a list of these, or an object of these by name" in fault.message
