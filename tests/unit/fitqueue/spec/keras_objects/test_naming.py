"""Names that a job may give. What is accepted and refused here was tried with Keras 3.15.1 and TensorFlow: build, fit,
save and load."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, sequential_job

FindFault = Callable[[Any], Fault]
Parse = Callable[[Any], ParsedJob]

SCOPE_NAMES = ["mobilenetv2_1.00_224", "block1.conv1", "3x3_conv", "res-block", "_hidden", "a" * 255, "a>b", "1"]
ANY_NAMES = ["f1-score", "auc@pr", "准确率", "a b", "a/b", "=1+1", "%s", "a{b}", "😀", "a\u200bb"]
CONTROL = ["", "a\nb", "a\x1b[31m", "a\x7f", "a\x85", "a\u2028b"]


def _with_layer(name: str) -> dict[str, Any]:
    return sequential_job(layer("Dense", units=2, name=name), layer("Dense", units=1))


def _with_metric(name: str) -> dict[str, Any]:
    job = sequential_job(layer("Dense", units=1))
    job["compile"]["metrics"] = [layer("MeanSquaredError", name=name)]
    return job


def _with_input(name: str) -> dict[str, Any]:
    return sequential_job(layer("InputLayer", shape=[12], name=name), layer("Dense", units=1))


@pytest.mark.parametrize("name", SCOPE_NAMES)
def test_names_of_layers(name: str, parse: Parse) -> None:
    parsed = parse(_with_layer(name))
    assert parsed.spec.model.config["layers"][1]["config"]["name"] == name


@pytest.mark.parametrize("name", ["a b", "准确率", "a@b", "a:b", "a\\b", "é", "a" * 256, *CONTROL])
def test_names_that_tensorflow_refuses_for_layers(name: str, only_fault: FindFault) -> None:
    fault = only_fault(_with_layer(name))
    assert (fault.pointer, fault.code) == ("/model/config/layers/0/config/name", "bad_name")
    assert fault.message.startswith("Expected a name of 1 to 255 letters from a to z, digits, dots, dashes")


@pytest.mark.parametrize("name", ["mobilenetv2_1.00_224", "m" * 250, *ANY_NAMES])
def test_names_of_metrics(name: str, parse: Parse) -> None:
    parsed = parse(_with_metric(name))
    assert parsed.spec.logged_names == ("loss", name)


@pytest.mark.parametrize("name", [name for name in [*SCOPE_NAMES, *ANY_NAMES] if "/" not in name])
def test_names_of_inputs(name: str, parse: Parse) -> None:
    job = _with_input(name)
    job["data"]["x"] = {name: "x"}
    assert parse(job).spec.data.x == {name: "x"}


@pytest.mark.parametrize("name", CONTROL)
@pytest.mark.parametrize("make_job", [_with_metric, _with_input])
def test_control_characters_and_empty_names_are_refused(
    make_job: Callable[[str], Any], name: str, only_fault: FindFault
) -> None:
    fault = only_fault(make_job(name))
    assert fault.code == "bad_name"
    assert "control characters" in fault.message
    assert "\\u" not in fault.message


def test_an_output_has_no_control_characters(only_fault: FindFault, changed: Callable[[str, Any], Any]) -> None:
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "a", "shape": [12]}, "inbound_nodes": []},
        {"class_name": "Dense", "config": {"name": "b", "units": 1}, "inbound_nodes": [{"args": [tensor]}]},
    ]
    config = {"layers": layers, "input_layers": ["a", 0, 0], "output_layers": {"b\x1b": ["b", 0, 0]}}
    job = sequential_job() | {"model": {"class_name": "Functional", "config": config}}
    job["data"]["y"] = {"b\x1b": "y"}
    fault = only_fault(job)
    assert (fault.pointer, fault.code) == ("/model/config/output_layers", "bad_name")


@pytest.mark.parametrize("name", ["_hidden", "-a", "my model"])
def test_names_that_tensorflow_refuses_for_the_whole_model(name: str, only_fault: FindFault) -> None:
    job = sequential_job(layer("Dense", units=1))
    job["model"]["config"]["name"] = name
    fault = only_fault(job)
    assert (fault.pointer, fault.code) == ("/model/config/name", "bad_name")


def test_a_model_within_the_model_has_the_name_of_a_layer(parse: Parse) -> None:
    inner = layer("Sequential", name="_encoder", layers=[layer("Dense", units=2)])
    parsed = parse(sequential_job(inner, layer("Dense", units=1)))
    assert parsed.spec.model.config["layers"][1]["config"]["name"] == "_encoder"


@pytest.mark.parametrize(("name", "accepted"), [("a-b", True), (".x", True), ("_x", False), ("a b", False)])
def test_names_of_optimizers(
    name: str, accepted: bool, find_faults: Callable[[Any], list[Fault]], changed: Callable[[str, Any], Any]
) -> None:
    faults = find_faults(changed("/compile/optimizer", layer("Adam", name=name)))
    assert [fault.code for fault in faults] == ([] if accepted else ["bad_name"])


def test_a_logged_name_that_cannot_be_recorded_is_refused(only_fault: FindFault) -> None:
    fault = only_fault(_with_metric("m" * 251))
    assert (fault.pointer, fault.code) == ("/compile/metrics", "out_of_range")
    assert "251 characters" in fault.message
