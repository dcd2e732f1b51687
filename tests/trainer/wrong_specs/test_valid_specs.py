"""The checker accepts what Keras can build, although it creates no weights and some layers create theirs at once."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest

from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from service.checker import Checker

LAYERS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parents[1] / "layers.json").read_text())
LAYERS |= {
    "EinsumDense": {"config": {"equation": "ab,bc->ac", "output_shape": 3}, "shape": [4]},
    "stateful": {"config": {"units": 3, "stateful": True}, "shape": [5, 2], "class_name": "LSTM", "batch": 8},
    "stateful in a wrapper": {
        "config": {"layer": {"class_name": "GRU", "config": {"units": 3, "stateful": True}}},
        "shape": [5, 2],
        "class_name": "Bidirectional",
        "batch": 8,
    },
}


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def check(checker: Checker, layers: list[dict[str, Any]], shape: list[int], **arguments: Any) -> ModelCheckResult:
    """Check a regression job with these layers, on samples of this shape, with one number as the target of each."""
    head = [layer("Flatten"), layer("Dense", units=1)]
    spec = {
        "model": layer("Sequential", layers=[*layers, *head]),
        "compile": {"optimizer": layer("SGD", learning_rate=0.1), "loss": "mse", "metrics": ["mae"]},
        "data": {"dataset": "digits", "x": "x", "y": "y"},
        "fit": {"batch_size": 8},
        "seed": 1,
    }
    arrays = {"x": {"shape": [64, *shape], "dtype": "float32"}, "y": {"shape": [64, 1], "dtype": "float32"}}
    check_request = ModelCheckRequest.model_validate({"spec": spec, "arrays": arrays, "max_bytes": 10**12, **arguments})
    result = checker.check(check_request)
    assert result is not None
    return result


@pytest.mark.parametrize("name", LAYERS)
def test_the_checker_accepts_a_layer_of_the_catalogue(name: str, checker: Checker) -> None:
    case = LAYERS[name]
    shape = [case.get("batch"), *case["shape"]]
    layers = [layer("InputLayer", batch_shape=shape), layer(case.get("class_name", name), **case["config"])]
    result = check(checker, layers, case["shape"])
    assert result.faults == []
    assert result.summary is not None
    config = case["config"]
    if "layer" not in config and not config.get("stateful"):
        expected = keras.Sequential([keras.Input(case["shape"]), getattr(keras.layers, name)(**config)])
        assert result.summary.layers[0].parameters == expected.count_params()
        assert result.summary.layers[0].output_shapes[0] == list(expected.output_shape)


def test_the_checker_accepts_a_model_with_two_outputs(checker: Checker) -> None:
    def tensor(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    def dense(name: str) -> dict[str, Any]:
        nodes = [{"args": [tensor("in")], "kwargs": {}}]
        return {**layer("Dense", name=name, units=10, activation="softmax"), "inbound_nodes": nodes}

    first = {**layer("InputLayer", name="in", shape=[64]), "inbound_nodes": []}
    layers, outputs = [first, dense("a"), dense("b")], [["a", 0, 0], ["b", 0, 0]]
    model = layer("Functional", layers=layers, input_layers=["in", 0, 0], output_layers=outputs)
    spec = {
        "model": model,
        "compile": {
            "optimizer": layer("SGD"),
            "loss": "sparse_categorical_crossentropy",
            "metrics": {"a": ["accuracy"]},
        },
        "data": {"dataset": "digits", "x": "x", "y": {"a": "y", "b": "y"}},
        "seed": 1,
    }
    arrays = {"x": {"shape": [64, 64], "dtype": "float32"}, "y": {"shape": [64], "dtype": "uint8"}}
    check_request = {"spec": spec, "arrays": arrays, "max_bytes": 10**12}
    result = checker.check(ModelCheckRequest.model_validate(check_request))
    assert result is not None
    assert result.faults == []
    assert result.summary is not None
    assert result.summary.parameters == 2 * 650
