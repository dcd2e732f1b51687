"""Constant initializers with arrays: the weights are those of Keras, and shapes that do not match are faults."""

import json
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.spec import KerasObject
from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.objects import check_object
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model

pytestmark = pytest.mark.usefixtures("forget_variables")

MATRIX = np.random.default_rng(3).random((9, 3)).astype("float32")


def build(model: dict[str, Any], *, shapes_only: bool = False) -> keras.Model:
    findings = Findings()
    canonical = KerasObject(**check_object(model, "layers", Pointer(findings)))
    assert findings.faults == []
    if not shapes_only:
        return build_model(canonical)
    with keras.StatelessScope(initialize_variables=False):
        return build_model(canonical)


def constant(value: Any) -> dict[str, Any]:
    return {"class_name": "Constant", "config": {"value": value}}


def embedding(value: Any) -> dict[str, Any]:
    layers = [
        {"class_name": "InputLayer", "config": {"shape": [4], "dtype": "int32"}},
        {
            "class_name": "Embedding",
            "config": {"name": "words", "input_dim": 9, "output_dim": 3, "embeddings_initializer": constant(value)},
        },
    ]
    return {"class_name": "Sequential", "config": {"layers": layers}}


def test_what_keras_writes_of_a_pretrained_embedding_has_the_same_weights() -> None:
    initializer = keras.initializers.Constant(MATRIX)
    model = keras.Sequential([keras.Input((4,), dtype="int32"), keras.layers.Embedding(9, 3, initializer)])
    built = build(json.loads(model.to_json()))
    np.testing.assert_array_equal(built.get_weights()[0], MATRIX)
    copy = keras.models.model_from_json(built.to_json())
    np.testing.assert_array_equal(copy.get_weights()[0], MATRIX)


@pytest.mark.parametrize("value", [MATRIX[0].tolist(), MATRIX[:, :1].tolist(), [0.5], [[0.5]]])
def test_an_array_is_broadcast_as_keras_does(value: Any) -> None:
    expected = np.array(keras.initializers.Constant(value)((9, 3)))
    np.testing.assert_array_equal(build(embedding(value)).get_weights()[0], expected)
    build(embedding(value), shapes_only=True)


@pytest.mark.parametrize("value", [MATRIX[:8].tolist(), MATRIX.T.tolist(), [MATRIX.tolist()], MATRIX.ravel().tolist()])
def test_an_array_of_another_shape_is_a_fault_before_any_training(value: Any) -> None:
    with pytest.raises(ModelBuildError) as raised:
        build(embedding(value), shapes_only=True)
    assert raised.value.pointer == "/model/config/layers/1/config/embeddings_initializer/config/value"
    assert raised.value.message == (
        f"The array of the Constant has the shape {list(np.shape(value))}, but the weight 'embeddings' of the layer "
        "'words' has the shape [9, 3]."
    )


def test_the_arrays_of_layers_in_other_layers_are_compared() -> None:
    dense = {"class_name": "Dense", "config": {"units": 2, "kernel_initializer": constant([[1.0, 2.0]] * 4)}}
    layers = [
        {"class_name": "InputLayer", "config": {"shape": [5, 3]}},
        {"class_name": "TimeDistributed", "config": {"layer": dense}},
    ]
    with pytest.raises(ModelBuildError, match=r"\[4, 2\].*\[3, 2\]") as raised:
        build({"class_name": "Sequential", "config": {"layers": layers}}, shapes_only=True)
    assert raised.value.pointer == "/model/config/layers/1/config/layer/config/kernel_initializer/config/value"


def test_a_copy_of_a_layer_keeps_the_array() -> None:
    kernel = np.arange(24.0).reshape(3, 8)
    lstm = {"class_name": "LSTM", "config": {"units": 2, "kernel_initializer": constant(kernel.tolist())}}
    layers = [
        {"class_name": "InputLayer", "config": {"shape": [5, 3]}},
        {"class_name": "Bidirectional", "config": {"layer": lstm}},
    ]
    weights = build({"class_name": "Sequential", "config": {"layers": layers}}).get_weights()
    np.testing.assert_array_equal(weights[0], kernel)
    np.testing.assert_array_equal(weights[3], kernel)
