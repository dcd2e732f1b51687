"""Keras objects as JSON: which are accepted, their canonical form, and which are refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.model import MAX_LAYERS, build_cost

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]

CONV = "/model/config/layers/1"
DENSE = "/model/config/layers/3"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/compile/optimizer", "adam"),
        ("/compile/optimizer", "Adam"),
        ("/compile/optimizer", "SGD"),
        ("/compile/optimizer", {"class_name": "rmsprop"}),
        ("/compile/optimizer", {"module": "keras.optimizers", "class_name": "AdamW", "registered_name": None}),
        ("/compile/loss", "mse"),
        ("/compile/loss", "MeanSquaredError"),
        ("/compile/loss", {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.1}}),
        ("/compile/metrics", ["acc", "mae", "AUC", {"class_name": "Precision", "config": {"thresholds": 0.5}}]),
        ("/compile/metrics", []),
        (f"{CONV}/config/kernel_size", 3),
        (f"{CONV}/config/kernel_initializer", "he_normal"),
        (f"{CONV}/config/kernel_initializer", "HeNormal"),
        (f"{CONV}/config/kernel_initializer", {"class_name": "HeNormal", "config": {"seed": 1}}),
        (f"{CONV}/config/kernel_regularizer", {"class_name": "L2", "config": {"l2": 1e-4}}),
        (f"{CONV}/config/kernel_regularizer", "l2"),
        (f"{CONV}/config/kernel_regularizer", None),
        (f"{CONV}/config/kernel_constraint", {"class_name": "MaxNorm", "config": {"max_value": 2}}),
        (f"{CONV}/config/activity_regularizer", "l1"),
        (f"{CONV}/config/trainable", False),
        (f"{CONV}/config/dtype", "mixed_float16"),
        (f"{CONV}/config/dtype", {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}),
        (f"{CONV}/config/activation", None),
        (f"{CONV}/class_name", "Convolution2D"),
        (f"{CONV}/module", "keras.layers"),
        (f"{CONV}/build_config", {"input_shape": [None, 8, 8, 1]}),
        (
            f"{DENSE}/config/activation",
            {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"},
        ),
        (
            "/compile/optimizer",
            {
                "class_name": "SGD",
                "config": {
                    "learning_rate": {
                        "class_name": "ExponentialDecay",
                        "config": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9},
                    }
                },
            },
        ),
    ],
)
def test_accepted_objects(path: str, value: Any, changed: Changed, parse: Parse) -> None:
    parsed = parse(changed(path, value))
    assert parse(parsed.spec.to_json()).spec == parsed.spec


@pytest.mark.parametrize(
    ("path", "value", "pointer", "code", "message"),
    [
        ("/compile/optimizer", "adamw2", "/compile/optimizer", "unknown_class", "'AdamW'"),
        ("/compile/optimizer", 5, "/compile/optimizer", "wrong_type", "object"),
        ("/compile/optimizer", {}, "/compile/optimizer", "missing", "class_name"),
        ("/compile/optimizer", {"class_name": "Adam", "config": []}, "/compile/optimizer/config", "wrong_type", ""),
        (
            "/compile/optimizer",
            {"class_name": "Adam", "confg": {}},
            "/compile/optimizer/confg",
            "unknown_field",
            "'config'",
        ),
        ("/compile/loss", "IoU", "/compile/loss", "unknown_name", ""),
        ("/compile/metrics/0", "IoU", "/compile/metrics/0", "missing", "num_classes"),
        ("/compile/metrics/0", None, "/compile/metrics/0", "wrong_type", ""),
        (f"{CONV}/class_name", "Conv2d", f"{CONV}/class_name", "unknown_class", "'Conv2D'"),
        (f"{CONV}/class_name", "Lambda", f"{CONV}/class_name", "unknown_class", ""),
        (f"{CONV}/class_name", "StringLookup", f"{CONV}/class_name", "unknown_class", ""),
        (f"{CONV}/class_name", "__class__", f"{CONV}/class_name", "unknown_class", ""),
        (f"{CONV}/module", "os", f"{CONV}/module", "custom_object", ""),
        (f"{CONV}/module", "keras.src.ops.numpy", CONV, "not_supported", "Operations on tensors"),
        (f"{CONV}/module", "kerasevil.layers", f"{CONV}/module", "custom_object", ""),
        (f"{CONV}/registered_name", "Custom>Conv2D", f"{CONV}/registered_name", "custom_object", ""),
        (f"{CONV}/config/filters", ..., f"{CONV}/config", "missing", "filters"),
        (f"{CONV}/config/filters", "4", f"{CONV}/config/filters", "wrong_type", "integer"),
        (f"{CONV}/config/filters", True, f"{CONV}/config/filters", "wrong_type", "integer"),
        (f"{CONV}/config/filters", 4.5, f"{CONV}/config/filters", "wrong_type", "integer"),
        (f"{CONV}/config/filters", 0, f"{CONV}/config/filters", "out_of_range", "≥ 1"),
        (f"{CONV}/config/filters", 10**12, f"{CONV}/config/filters", "out_of_range", ""),
        (f"{CONV}/config/kernel_size", [3, 3, 3], f"{CONV}/config/kernel_size", "out_of_range", "a list of 2"),
        (f"{CONV}/config/kernel_size", [3, "3"], f"{CONV}/config/kernel_size/1", "wrong_type", "integer"),
        (f"{CONV}/config/padding", "smae", f"{CONV}/config/padding", "unknown_name", "'same'"),
        (f"{CONV}/config/use_bias", 2, f"{CONV}/config/use_bias", "wrong_type", "true or false"),
        (f"{CONV}/config/activation", "rleu", f"{CONV}/config/activation", "unknown_name", "'relu'"),
        (f"{CONV}/config/activation", "keras.utils.get_file", f"{CONV}/config/activation", "unknown_name", ""),
        (f"{CONV}/config/kernelsize", 3, f"{CONV}/config/kernelsize", "unknown_field", "'kernel_size'"),
        (f"{CONV}/config/name", "../../x", f"{CONV}/config/name", "bad_name", "letters"),
        (f"{CONV}/config/name", "x" * 256, f"{CONV}/config/name", "bad_name", ""),
        (f"{CONV}/config/name", "x\n", f"{CONV}/config/name", "bad_name", ""),
        (f"{DENSE}/config/quantization_config", {"a": 1}, f"{DENSE}/config/quantization_config", "not_supported", ""),
        (f"{DENSE}/config/lora_rank", 4, f"{DENSE}/config/lora_rank", "not_supported", ""),
        (
            f"{CONV}/config/kernel_initializer",
            {"class_name": "HeNormal", "config": {"seed": "x"}},
            f"{CONV}/config/kernel_initializer/config/seed",
            "wrong_type",
            "integer",
        ),
        ("/model/class_name", "Dense", "/model/class_name", "unknown_class", "Sequential"),
        ("/model/config/layers", [], "/model/config/layers", "missing", ""),
        ("/model/config/layers", {}, "/model/config/layers", "missing", ""),
        ("/model/config/layers/2", None, "/model/config/layers/2", "wrong_type", ""),
        ("/model/config/layers/2", "Flatten", "/model/config/layers/2", "wrong_type", "object"),
        ("/model/config/layers/2", "MaxPool2D", "/model/config/layers/2", "wrong_type", "object"),
        (
            "/compile/optimizer",
            {"class_name": "Adam", "config": {"learning_rate": "fast"}},
            "/compile/optimizer/config/learning_rate",
            "wrong_type",
            "a number > 0 or one of Keras's schedules as {class_name, config}",
        ),
        ("/model/config/layer", [], "/model/config/layer", "unknown_field", "'layers'"),
        ("/model/config/name", "a/../b", "/model/config/name", "bad_name", ""),
    ],
)
def test_refused_objects(
    path: str, value: Any, pointer: str, code: str, message: str, changed: Changed, only_fault: FindFault
) -> None:
    fault = only_fault(changed(path, value))
    assert (fault.pointer, fault.code) == (pointer, code)
    assert message in fault.message


def test_a_model_may_be_the_string_from_to_json(cnn: dict[str, Any], parse: Parse) -> None:
    as_object = parse(cnn | {"seed": 1})
    as_string = parse(cnn | {"seed": 1, "model": json.dumps(cnn["model"])})
    assert as_string.spec == as_object.spec


@pytest.mark.parametrize("text", ["{", "[1, NaN]", '"Sequential"', "\ud800"])
def test_a_string_that_is_not_a_model(text: str, cnn: dict[str, Any], only_fault: FindFault) -> None:
    assert only_fault(cnn | {"model": text}).pointer == "/model"


def test_the_compile_config_of_a_model_is_ignored_with_a_notice(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/model/compile_config", {"optimizer": {"class_name": "Evil"}}))
    assert [(notice.pointer, notice.code) for notice in parsed.notices] == [("/model/compile_config", "ignored")]


def test_the_names_of_layers_must_be_unique(changed: Changed, only_fault: FindFault) -> None:
    job = changed(f"{CONV}/config/name", "same")
    job["model"]["config"]["layers"][3]["config"]["name"] = "same"
    fault = only_fault(job)
    assert (fault.pointer, fault.code) == (f"{DENSE}/config/name", "duplicate_name")


def test_objects_must_not_be_nested_deeper_than_16_levels(changed: Changed, only_fault: FindFault) -> None:
    layer: dict[str, Any] = {"class_name": "Dense", "config": {"units": 3}}
    for _ in range(40):
        layer = {"class_name": "TimeDistributed", "config": {"layer": layer}}
    assert only_fault(changed(DENSE, layer)).code == "too_large"


DENSE_LAYER: dict[str, Any] = {"class_name": "Dense", "config": {"units": 1}}


def test_the_number_of_layers_is_bounded(changed: Changed, only_fault: FindFault, parse: Parse) -> None:
    job = changed("/model/config/layers", [DENSE_LAYER] * MAX_LAYERS)
    assert len(parse(job).spec.model.config["layers"]) == MAX_LAYERS + 1  # with the InputLayer that is filled in
    assert only_fault(changed("/model/config/layers", [DENSE_LAYER] * (MAX_LAYERS + 1))).code == "too_large"


def architecture(name: str) -> dict[str, Any]:
    return {"class_name": name, "config": {"weights": None, "include_top": False}}


def lstm(class_name: str = "LSTM") -> dict[str, Any]:
    return {"class_name": class_name, "config": {"units": 1, "return_sequences": True}}


@pytest.mark.parametrize(
    "layers",
    [
        [{"class_name": "Sequential", "config": {"layers": [DENSE_LAYER] * 600}}] * 2,
        [architecture("NASNetLarge")] * 2,
        [architecture("ResNet50")] * 20,
        [{"class_name": "TimeDistributed", "config": {"layer": architecture("ResNet152")}}] * 3,
        [{"class_name": "Bidirectional", "config": {"layer": lstm()}}] * 400,
        [{"class_name": "Bidirectional", "config": {"layer": lstm("CuDNNLSTM")}}] * 400,
        [{"class_name": "RNN", "config": {"cell": [{"class_name": "LSTMCell", "config": {"units": 1}}] * 64}}] * 20,
    ],
)  # fmt: skip
def test_layers_inside_other_layers_are_counted(layers: list[Any], changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/model/config/layers", layers))
    assert (fault.pointer, fault.code) == ("/model/config/layers", "too_large")


@pytest.mark.parametrize("name", catalogue.kind("applications").classes)
def test_a_single_architecture_is_never_too_large(name: str, changed: Changed, parse: Parse) -> None:
    layers = [{"class_name": "Input", "config": {"shape": [None, None, 1]}}, architecture(name), DENSE_LAYER]
    parse(changed("/model/config/layers", layers))


def test_a_shared_layer_counts_once_for_each_call() -> None:
    """A call of a model takes as long to build as the model."""
    shared = {**architecture("MobileNet"), "inbound_nodes": [{}] * 3}
    assert build_cost(shared) == 3 * build_cost(architecture("MobileNet"))
    assert build_cost({**DENSE_LAYER, "inbound_nodes": []}) == build_cost(DENSE_LAYER) == build_cost(None) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "LeakyReLU", "config": {"negative_slope": 0.2}, "module": "keras.layers"},
        {"class_name": "LeakyReLU", "config": {"alpha": 0.2, "dtype": "float32", "name": "leaky"}},
        {"class_name": "ReLU", "config": {"max_value": 6}},
        {"class_name": "Activation", "config": {"activation": {"class_name": "Softmax", "config": {"axis": 1}}}},
    ],
)
def test_a_layer_may_be_an_activation(config: dict[str, Any], changed: Changed, parse: Parse) -> None:
    parsed = parse(changed(f"{DENSE}/config/activation", config))
    assert parsed.spec.model.config["layers"][3]["config"]["activation"]["class_name"] == config["class_name"]
    assert parse(parsed.spec.to_json()).spec == parsed.spec


@pytest.mark.parametrize(
    ("class_name", "message"),
    [("PReLU", "Put it behind"), ("LeakyRelu", "'LeakyReLU'"), ("Dropout", ""), ("Lambda", "")],
)
def test_other_layers_may_not_be_activations(
    class_name: str, message: str, changed: Changed, only_fault: FindFault
) -> None:
    fault = only_fault(changed(f"{DENSE}/config/activation", {"class_name": class_name, "config": {}}))
    assert (fault.pointer, fault.code) == (f"{DENSE}/config/activation/class_name", "unknown_class")
    assert message in fault.message


def test_the_input_shape_of_an_architecture_is_its_own_argument(changed: Changed, parse: Parse) -> None:
    base = {"class_name": "MobileNet", "config": {"weights": None, "include_top": False, "input_shape": [32, 32, 1]}}
    parsed = parse(changed("/model/config/layers", [base]))
    assert parsed.spec.model.config["layers"][-1] == base


def test_every_entry_of_the_catalogue_is_described() -> None:
    kinds = catalogue.raw_catalogue()["kinds"]
    for kind in kinds:
        for entry in catalogue.kind(kind).classes.values():
            assert entry.description, entry.name
            assert set(entry.required) <= set(entry.properties)
        for name, class_name in catalogue.kind(kind).names.items():
            assert not class_name or class_name in catalogue.kind(kind).classes, name
