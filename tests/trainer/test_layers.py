"""Each layer of the catalogue, built from a job, equals the layer in a plain script."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

from fitqueue.spec.keras_objects import catalogue
from tests.trainer import whole_models
from tests.trainer.model_comparison import (
    assert_round_trip,
    assert_same_model,
    layer,
    parsed_spec,
    samples,
    sequential,
)
from workers.keras_tools.models import build_model

# One use of each layer in the catalogue: its arguments, the shape of a sample, and how a script creates it.
SINGLE: dict[str, tuple[dict[str, Any], tuple[int, ...], Callable[[], kl.Layer]]] = {
    "Dense": (
        {"units": 3, "activation": "gelu", "kernel_initializer": {"class_name": "HeNormal", "config": {}},
         "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.1}}, "bias_constraint": "non_neg"},
        (4,),
        lambda: kl.Dense(3, "gelu", kernel_initializer=keras.initializers.HeNormal(),
                         kernel_regularizer=keras.regularizers.L1L2(0.1), bias_constraint="non_neg"),
    ),
    "Embedding": ({"input_dim": 10, "output_dim": 3, "mask_zero": True}, (5,),
                  lambda: kl.Embedding(10, 3, mask_zero=True)),
    "Activation": ({"activation": "swish"}, (4,), lambda: kl.Activation("swish")),
    "ReLU": ({"max_value": 4, "negative_slope": 0.1}, (4,), lambda: kl.ReLU(4, 0.1)),
    "LeakyReLU": ({"negative_slope": 0.2}, (4,), lambda: kl.LeakyReLU(0.2)),
    "ELU": ({"alpha": 0.5}, (4,), lambda: kl.ELU(0.5)),
    "PReLU": ({"shared_axes": [1, 2]}, (6, 6, 2), lambda: kl.PReLU(shared_axes=[1, 2])),
    "Softmax": ({"axis": [1, 2]}, (4, 3), lambda: kl.Softmax([1, 2])),
    "Conv1D": ({"filters": 2, "kernel_size": 3, "padding": "causal"}, (8, 2),
               lambda: kl.Conv1D(2, 3, padding="causal")),
    "Conv2D": (
        {"filters": 4, "kernel_size": [3, 2], "strides": 2, "groups": 2, "padding": "same"},
        (6, 6, 2),
        lambda: kl.Conv2D(4, (3, 2), 2, "same", groups=2),
    ),
    "Conv1DTranspose": ({"filters": 2, "kernel_size": 3, "strides": 2}, (8, 2), lambda: kl.Conv1DTranspose(2, 3, 2)),
    "Conv2DTranspose": (
        {"filters": 2, "kernel_size": [3, 3], "strides": [2, 2], "output_padding": [1, 1]},
        (4, 4, 2),
        lambda: kl.Conv2DTranspose(2, 3, 2, output_padding=1),
    ),
    "DepthwiseConv2D": (
        {"kernel_size": 3, "depth_multiplier": 2}, (6, 6, 2), lambda: kl.DepthwiseConv2D(3, depth_multiplier=2)
    ),
    "SeparableConv1D": ({"filters": 3, "kernel_size": 3}, (8, 2), lambda: kl.SeparableConv1D(3, 3)),
    "SeparableConv2D": ({"filters": 3, "kernel_size": [3, 3]}, (6, 6, 2), lambda: kl.SeparableConv2D(3, 3)),
    "MaxPooling1D": ({"pool_size": 2}, (8, 2), lambda: kl.MaxPooling1D(2)),
    "MaxPooling2D": (
        {"pool_size": [2, 2], "strides": 2, "padding": "same"}, (5, 5, 2), lambda: kl.MaxPooling2D((2, 2), 2, "same")
    ),
    "AveragePooling1D": ({"pool_size": 2, "strides": 1}, (8, 2), lambda: kl.AveragePooling1D(2, 1)),
    "AveragePooling2D": ({"pool_size": 3}, (6, 6, 2), lambda: kl.AveragePooling2D(3)),
    "GlobalMaxPooling1D": ({"keepdims": True}, (8, 2), lambda: kl.GlobalMaxPooling1D(keepdims=True)),
    "GlobalMaxPooling2D": ({}, (6, 6, 2), lambda: kl.GlobalMaxPooling2D()),
    "GlobalAveragePooling1D": ({}, (8, 2), lambda: kl.GlobalAveragePooling1D()),
    "GlobalAveragePooling2D": ({"keepdims": False}, (6, 6, 2), lambda: kl.GlobalAveragePooling2D()),
    "Flatten": ({}, (4, 3), lambda: kl.Flatten()),
    "Reshape": ({"target_shape": [2, -1]}, (4, 3), lambda: kl.Reshape((2, -1))),
    "Permute": ({"dims": [2, 1]}, (4, 3), lambda: kl.Permute((2, 1))),
    "RepeatVector": ({"n": 3}, (4,), lambda: kl.RepeatVector(3)),
    "ZeroPadding1D": ({"padding": [1, 2]}, (4, 3), lambda: kl.ZeroPadding1D((1, 2))),
    "ZeroPadding2D": ({"padding": [[1, 2], [3, 4]]}, (4, 4, 2), lambda: kl.ZeroPadding2D(((1, 2), (3, 4)))),
    "Cropping1D": ({"cropping": [1, 2]}, (8, 3), lambda: kl.Cropping1D((1, 2))),
    "Cropping2D": ({"cropping": [1, 2]}, (6, 6, 2), lambda: kl.Cropping2D((1, 2))),
    "UpSampling1D": ({"size": 3}, (4, 2), lambda: kl.UpSampling1D(3)),
    "UpSampling2D": (
        {"size": [2, 3], "interpolation": "bilinear"}, (4, 4, 2), 
        lambda: kl.UpSampling2D((2, 3), interpolation="bilinear"),
    ),
    "LSTM": (
        {"units": 3, "return_sequences": True, "dropout": 0.1, "recurrent_activation": "hard_sigmoid"},
        (5, 2),
        lambda: kl.LSTM(3, return_sequences=True, dropout=0.1, recurrent_activation="hard_sigmoid"),
    ),
    "GRU": ({"units": 3, "reset_after": False, "go_backwards": True}, (5, 2),
            lambda: kl.GRU(3, reset_after=False, go_backwards=True)),
    "SimpleRNN": ({"units": 3, "unroll": True}, (5, 2), lambda: kl.SimpleRNN(3, unroll=True)),
    "Bidirectional": (
        {"layer": layer("LSTM", units=3), "merge_mode": "sum"}, (5, 2), lambda: kl.Bidirectional(kl.LSTM(3), "sum")
    ),
    "TimeDistributed": ({"layer": layer("Dense", units=3)}, (5, 2), lambda: kl.TimeDistributed(kl.Dense(3))),
    "Masking": ({"mask_value": 3}, (5, 2), lambda: kl.Masking(3)),
    "Dropout": ({"rate": 0.5, "noise_shape": [None, 1], "seed": 3}, (4,), lambda: kl.Dropout(0.5, (None, 1), 3)),
    "SpatialDropout1D": ({"rate": 0.5}, (8, 2), lambda: kl.SpatialDropout1D(0.5)),
    "SpatialDropout2D": ({"rate": 0.5}, (6, 6, 2), lambda: kl.SpatialDropout2D(0.5)),
    "GaussianDropout": ({"rate": 0.5}, (4,), lambda: kl.GaussianDropout(0.5)),
    "GaussianNoise": ({"stddev": 0.5}, (4,), lambda: kl.GaussianNoise(0.5)),
    "BatchNormalization": (
        {"momentum": 0.9, "scale": False, "renorm": True, "renorm_clipping": {"rmax": 1.5}, "renorm_momentum": 0.7},
        (4,),
        lambda: kl.BatchNormalization(
            momentum=0.9, scale=False, renorm=True, renorm_clipping={"rmax": 1.5}, renorm_momentum=0.7
        ),
    ),
    "LayerNormalization": ({"axis": [1, 2]}, (4, 3), lambda: kl.LayerNormalization(axis=[1, 2])),
    "GroupNormalization": ({"groups": 2}, (4, 4), lambda: kl.GroupNormalization(2)),
    "UnitNormalization": ({}, (4,), lambda: kl.UnitNormalization()),
    "Rescaling": ({"scale": 0.1, "offset": -1}, (4,), lambda: kl.Rescaling(0.1, -1)),
    "Identity": ({}, (4,), lambda: kl.Identity()),
}  # fmt: skip
MERGING: dict[str, tuple[dict[str, Any], Callable[[], kl.Layer]]] = {
    "Add": ({}, lambda: kl.Add()),
    "Subtract": ({}, lambda: kl.Subtract()),
    "Multiply": ({}, lambda: kl.Multiply()),
    "Average": ({}, lambda: kl.Average()),
    "Maximum": ({}, lambda: kl.Maximum()),
    "Minimum": ({}, lambda: kl.Minimum()),
    "Concatenate": ({"axis": 1}, lambda: kl.Concatenate(1)),
    "Dot": ({"axes": 1, "normalize": True}, lambda: kl.Dot(1, normalize=True)),
}

# Layers that have the same arguments in a script: `{name: {config, shape}}`.
PLAIN: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("layers.json").read_text())
SINGLE |= {
    name: (case["config"], tuple(case["shape"]), lambda name=name, case=case: getattr(kl, name)(**case["config"]))
    for name, case in PLAIN.items()
}


@pytest.mark.parametrize("class_name", SINGLE)
def test_a_layer_equals_that_of_a_script(class_name: str) -> None:
    config, shape, make_layer = SINGLE[class_name]
    spec = parsed_spec(sequential(layer("Input", shape=list(shape)), layer(class_name, **config)), shape)
    keras.utils.set_random_seed(5)
    built = build_model(spec.model)
    keras.utils.set_random_seed(5)
    expected = keras.Sequential([keras.Input(shape), make_layer()])
    assert_same_model(built, expected, shape)
    # In training, random layers also draw from the same seeds.
    np.testing.assert_array_equal(call_in_training(built, shape), call_in_training(expected, shape))
    assert_round_trip(expected, shape)


def call_in_training(model: keras.Model, shape: tuple[int, ...]) -> Any:
    keras.utils.set_random_seed(6)  # AugMix also draws from Python's generator
    return model(samples(shape), training=True)


@pytest.mark.parametrize("class_name", MERGING)
def test_a_merging_layer_equals_that_of_a_script(class_name: str) -> None:
    config, make_layer = MERGING[class_name]
    inputs = keras.Input((4,))
    merged = make_layer()([kl.Dense(3)(inputs), kl.Dense(3)(inputs)])
    expected = keras.Model(inputs, merged)
    assert_round_trip(expected, (4,))
    layers = json.loads(expected.to_json())["config"]["layers"]
    serialized = next(layer for layer in layers if layer["class_name"] == class_name)
    assert {name: serialized["config"][name] for name in config} == config


def test_every_layer_of_the_catalogue_is_compared() -> None:
    models = (whole_models.attention, whole_models.cells, whole_models.pipeline, whole_models.crossed)
    serialized = "".join(make().to_json() for make in models)
    in_models = {name for name in catalogue.kind("layers").classes if f'"class_name": "{name}"' in serialized}
    assert {*SINGLE, *MERGING, *in_models} == set(catalogue.kind("layers").classes)


COMMON_ARGUMENTS = {
    "name": "mine", "trainable": False, "autocast": False, "dtype": "float64", "activity_regularizer": "l2",
}  # fmt: skip


@pytest.mark.parametrize("class_name", SINGLE)
def test_keras_accepts_the_arguments_that_all_layers_have(class_name: str) -> None:
    config, shape, _ = SINGLE[class_name]
    known = catalogue.kind("layers").classes[class_name].properties
    common = {name: value for name, value in COMMON_ARGUMENTS.items() if name in known and name not in config}
    spec = parsed_spec(sequential(layer("Input", shape=list(shape)), layer(class_name, **config, **common)), shape)
    assert build_model(spec.model).layers[0].name == "mine"


# --- Layers as activations -----------------------------------------------------------------------------------------

ACTIVATIONS = [kl.Activation("gelu"), kl.ELU(0.5), kl.LeakyReLU(0.2), kl.ReLU(6), kl.Softmax(1)]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: type(activation).__name__)
def test_a_layer_as_an_activation_equals_that_of_a_script(activation: kl.Layer) -> None:
    model = keras.Sequential([keras.Input((5, 2)), kl.Dense(3, activation), kl.Bidirectional(kl.GRU(2, activation))])
    assert_round_trip(model, (5, 2))


def test_only_layers_without_weights_may_be_activations() -> None:
    exported = {
        name
        for name, value in vars(kl).items()
        if getattr(value, "__module__", "").startswith("keras.src.layers.activations.")
    }
    assert exported - {"PReLU"} == catalogue.ACTIVATION_LAYERS
    model = keras.Sequential([keras.Input((4,)), kl.Dense(3, kl.PReLU())])
    weights = len(model.weights)
    model(samples((4,)))
    assert len(model.weights) == weights + 1  # it creates its weights too late
