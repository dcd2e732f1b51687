"""The forms in which older versions of Keras wrote models and layers."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from fitqueue.spec.keras_objects.model import build_cost
from tests.unit.fitqueue.spec.jobs import layer, notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]
FindFaults = Callable[[Any], list[Fault]]

FIRST = layer("Dense", units=4, batch_input_shape=[None, 12])


def functional_job(class_name: str, *layers: Any) -> dict[str, Any]:
    """Return a job with these layers between an InputLayer and a Dense, each called on the one before it."""
    source = {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": [None, 12]}}
    names = ["in", *(each["name"] for each in layers), "out"]
    chain = [*layers, {"class_name": "Dense", "config": {"units": 1}, "name": "out"}]
    called = [{**each, "inbound_nodes": [[[before, 0, 0, {}]]]} for each, before in zip(chain, names[:-1], strict=True)]
    config = {"layers": [{**source, "name": "in", "inbound_nodes": []}, *called]}
    config |= {"input_layers": [["in", 0, 0]], "output_layers": [["out", 0, 0]]}
    return sequential_job() | {"model": {"class_name": class_name, "config": config, "keras_version": "2.2.4"}}


# --- Models --------------------------------------------------------------------------------------------------------


def test_the_class_model(parse: Parse) -> None:
    parsed = parse(functional_job("Model"))
    assert parsed.spec.model.class_name == "Functional"
    assert ("/model/class_name", "translated") in notices_of(parsed)


def test_a_sequential_whose_config_is_a_list(parse: Parse) -> None:
    sent = sequential_job()
    sent["model"] = {"class_name": "Sequential", "config": [FIRST, layer("Dense", units=1)], "keras_version": "2.1.2"}
    parsed = parse(sent)
    classes = [each["class_name"] for each in parsed.spec.model.config["layers"]]
    assert classes == ["InputLayer", "Dense", "Dense"]
    assert ("/model/config", "translated") in notices_of(parsed)
    assert ("/model/config/0/config/batch_input_shape", "translated") in notices_of(parsed)


def test_a_fault_in_the_list_points_into_the_list(only_fault: FindFault) -> None:
    sent = sequential_job()
    sent["model"] = {"class_name": "Sequential", "config": [FIRST, layer("Dense", units="1")]}
    assert only_fault(sent).pointer == "/model/config/1/config/units"


@pytest.mark.parametrize("config", [[], [3], [[]], "layers", None])
def test_a_config_that_is_no_list_of_layers(config: Any, find_faults: FindFaults) -> None:
    faults = find_faults(sequential_job() | {"model": {"class_name": "Sequential", "config": config}})
    assert {fault.pointer.split("/")[1] for fault in faults} == {"model"}


def test_only_the_config_of_a_sequential_may_be_a_list(only_fault: FindFault) -> None:
    fault = only_fault(sequential_job() | {"model": {"class_name": "Functional", "config": [FIRST]}})
    assert (fault.pointer, fault.code) == ("/model/config", "wrong_type")


def test_a_list_inside_other_models(parse: Parse) -> None:
    inner = {"class_name": "Sequential", "config": [FIRST]}
    stored = parse(sequential_job(layer("Dense", units=12, input_dim=12), inner)).spec.model.config["layers"]
    assert [each["class_name"] for each in stored[2]["config"]["layers"]] == ["InputLayer", "Dense"]
    parsed = parse(functional_job("Model", {**inner, "name": "inner"}))
    assert parsed.spec.model.config["layers"][1]["config"]["name"] == "inner"


def test_layers_in_a_list_count_for_the_limit() -> None:
    layers = [layer("Dense", units=1)] * 50
    as_list, as_object = ({"class_name": "Sequential", "config": config} for config in (layers, {"layers": layers}))
    assert build_cost(as_list) == build_cost(as_object) > 50


# --- Layers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("SpatialDropout1D", {"rate": 0.2, "trainable": True, "noise_shape": None, "seed": None}),
        ("Discretization", {"bin_boundaries": [0.0], "trainable": False}),
        ("Dense", {"units": 1, "dynamic": False, "ragged": False, "seed": 7}),
        ("Flatten", {"trainable": True, "dtype": "float32", "noise_shape": None, "causal": False}),
        ("LSTM", {"units": 1, "time_major": 0, "implementation": 2}),
    ],
)
def test_what_every_layer_could_have_and_means_nothing(class_name: str, config: dict[str, Any], parse: Parse) -> None:
    before = [layer("Reshape", target_shape=[4, 3], batch_input_shape=[None, 12])]
    stored = parse(sequential_job(*before, layer(class_name, **config))).spec.model.config["layers"][2]["config"]
    assert not stored.keys() & {"dynamic", "ragged", "noise_shape", "causal", "time_major", "implementation"}


@pytest.mark.parametrize(
    ("class_name", "config", "argument"),
    [
        ("SpatialDropout1D", {"rate": 0.2, "noise_shape": [1, 3]}, "noise_shape"),
        ("Dense", {"units": 1, "dynamic": True}, "dynamic"),
        ("Flatten", {"causal": True}, "causal"),
    ],
)
def test_what_does_mean_something_is_a_fault(
    class_name: str, config: dict[str, Any], argument: str, only_fault: FindFault
) -> None:
    fault = only_fault(sequential_job(layer(class_name, **config, input_shape=[4, 3])))
    assert (fault.pointer, fault.code) == (f"/model/config/layers/0/config/{argument}", "not_supported")
    assert "use_causal_mask" not in fault.message


@pytest.mark.parametrize("class_name", ["Attention", "AdditiveAttention"])
def test_causal_of_an_attention_is_advised_to_be_in_its_call(
    class_name: str, find_faults: Callable[[Any], list[Fault]]
) -> None:
    faults = find_faults(sequential_job(layer(class_name, causal=True)))
    assert any("use_causal_mask" in fault.message for fault in faults if fault.pointer.endswith("/causal"))


@pytest.mark.parametrize(
    ("old", "synchronized"),
    [("BatchNormalizationV1", None), ("BatchNormalizationV2", None), ("SyncBatchNormalization", True)],
)
def test_batch_normalization_under_other_names(old: str, synchronized: bool | None, parse: Parse) -> None:
    for sent in (layer(old, axis=[1], input_shape=[12]), {"class_name": old}):
        stored = parse(sequential_job(sent)).spec.model.config["layers"][1]
        assert stored["class_name"] == "BatchNormalization"
        assert stored["config"].get("synchronized") is synchronized


@pytest.mark.parametrize("policy", ["Policy", "PolicyV1"])
def test_a_policy(policy: str, parse: Parse) -> None:
    dtype = layer(policy, name="mixed_float16", loss_scale={"class_name": "DynamicLossScale"})
    stored = parse(sequential_job(layer("Dense", units=1, dtype=dtype))).spec.model.config["layers"][1]["config"]
    assert stored["dtype"] == layer("DTypePolicy", name="mixed_float16")


def test_initializers_with_a_v2(parse: Parse) -> None:
    stored = parse(sequential_job(layer("Dense", units=1, kernel_initializer=layer("GlorotUniformV2", seed=None))))
    assert stored.spec.model.config["layers"][1]["config"]["kernel_initializer"]["class_name"] == "GlorotUniform"


@pytest.mark.parametrize(
    "module",
    [
        "keras.api.layers",
        "keras.api._v2.keras.layers",
        "keras_core.layers",
        "keras_core.src.layers.core.dense",
        "tensorflow.python.keras.layers.core",
        "tensorflow.keras.layers",
        "tf_keras.src.layers.core.dense",
        "keras.src.engine.sequential",
    ],
)
def test_modules_of_keras(module: str, find_faults: FindFaults) -> None:
    sent = sequential_job({**layer("Dense", units=1), "module": module, "registered_name": None})
    assert find_faults(sent) == []


@pytest.mark.parametrize("module", ["keras_cv.layers", "keras_core_x.layers", "mykeras.layers", "tensorflow.nn"])
def test_other_modules(module: str, only_fault: FindFault) -> None:
    fault = only_fault(sequential_job({**layer("Dense", units=1), "module": module}))
    assert fault.code == "custom_object"


# --- Attention -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("causal", "keywords"), [(True, {"use_causal_mask": True}), (False, {})])
@pytest.mark.parametrize("class_name", ["Attention", "AdditiveAttention"])
def test_causal_of_an_attention_moves_to_its_calls(
    class_name: str, causal: bool, keywords: dict[str, Any], parse: Parse
) -> None:
    reshape = {"class_name": "Reshape", "config": {"target_shape": [4, 3]}, "name": "r"}
    attention = {"class_name": class_name, "config": {"causal": causal, "use_scale": False}, "name": "t"}
    sent = functional_job("Functional", reshape, attention)
    sent["model"]["config"]["layers"][2]["inbound_nodes"] = [[["r", 0, 0, {}], ["r", 0, 0, {}]]]
    stored = parse(sent).spec.model.config["layers"][2]
    assert stored["inbound_nodes"][0]["kwargs"] == keywords
    assert "causal" not in stored["config"]
