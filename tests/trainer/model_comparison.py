"""Specs of models, and comparisons of the models that they build with those of a plain script."""

import json
from typing import Any

import keras
import numpy as np

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec import JobSpec, parse_job
from workers.keras_tools.models import build_model

Layer = dict[str, Any]


def layer(class_name: str, **config: Any) -> Layer:
    return {"class_name": class_name, "config": config}


def sequential(*layers: Layer) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def parsed_spec(model: Any, shape: tuple[int, ...]) -> JobSpec:
    """Return the job of this model, on samples of this shape, as it comes back from the database."""
    arrays = {"x": ArrayInfo((8, *shape), "float32"), "y": ArrayInfo((8,), "int64")}
    raw = {
        "model": model,
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "seed": 1,
    }
    spec = parse_job(raw, lambda name: DatasetInfo(name, arrays)).spec
    return JobSpec.model_validate_json(spec.model_dump_json())


def samples(shape: tuple[int, ...]) -> np.ndarray:
    """Return 8 samples of whole numbers from 0 to 9, which even an Embedding accepts."""
    return np.random.default_rng(0).integers(0, 10, (8, *shape)).astype("float32")


def assert_same_model(model: keras.Model, expected: keras.Model, shape: tuple[int, ...]) -> None:
    """Compare shapes and values of the weights, and the outputs for samples of this shape."""
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in expected.weights]
    for weights, expected_weights in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected_weights)
    x = samples(shape)
    # By default, layers for images are random, and each model has seeds of its own.
    np.testing.assert_array_equal(model(x, training=False), expected(x, training=False))


def assert_round_trip(model: keras.Model, shape: tuple[int, ...]) -> None:
    """Check that the result of `to_json`, as a string and as a value, builds the same model."""
    for serialized in (model.to_json(), json.loads(model.to_json())):
        built = build_model(parsed_spec(serialized, shape).model)
        assert [layer.name for layer in built.layers] == [layer.name for layer in model.layers]
        built.set_weights(model.get_weights())
        assert_same_model(built, model, shape)
