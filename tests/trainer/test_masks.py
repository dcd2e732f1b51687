"""Functional models with masks, as `to_json` of the installed Keras writes them, equal the models themselves."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec import JobSpec, parse_job
from workers.keras_tools.models import build_model
from workers.model_check.check import check

STEPS = 6


def words() -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return an input and its embedding with a mask."""
    inputs = keras.Input((STEPS,), dtype="int32")
    return inputs, kl.Embedding(9, 4, mask_zero=True)(inputs)


def through(*layers: kl.Layer) -> keras.Model:
    inputs, outputs = words()
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def merged(layer: kl.Layer, *, masked: bool = True) -> keras.Model:
    (first, a), (second, b) = words(), words()
    if not masked:
        second = b = keras.Input((STEPS, 4))
    return keras.Model([first, second], kl.LSTM(2)(layer([a, b])))


def masking() -> keras.Model:
    inputs = keras.Input((STEPS, 2))
    return keras.Model(inputs, kl.GRU(3)(kl.Masking(1.0)(inputs)))


def encoder_decoder() -> keras.Model:
    (first, a), (second, b) = words(), words()
    _, *states = kl.LSTM(3, return_state=True)(a)
    decoded = kl.LSTM(3, return_sequences=True)(b, initial_state=states)
    return keras.Model([first, second], kl.GlobalAveragePooling1D()(kl.TimeDistributed(kl.Dense(2))(decoded)))


def attention() -> keras.Model:
    (first, a), (second, b) = words(), words()
    attended = kl.MultiHeadAttention(2, 2)(a, b)
    return keras.Model([first, second], kl.GlobalAveragePooling1D()(kl.Attention()([attended, b])))


def shared() -> keras.Model:
    embedding, lstm = kl.Embedding(9, 4, mask_zero=True), kl.LSTM(2)
    inputs = [keras.Input((STEPS,), dtype="int32") for _ in range(2)]
    return keras.Model(inputs, kl.Concatenate()([lstm(embedding(each)) for each in inputs]))


def nested() -> keras.Model:
    vectors = keras.Input((STEPS, 4))
    inner = keras.Model(vectors, kl.LSTM(2)(vectors))
    inputs, embedded = words()
    return keras.Model(inputs, inner(embedded))


def written_by_hand() -> keras.Model:
    """Return a model with a mask that no layer derives."""
    inputs = keras.Input((STEPS,), dtype="int32")
    return keras.Model(inputs, kl.LSTM(2)(kl.Embedding(9, 4)(inputs), mask=keras.ops.not_equal(inputs, 3)))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "LSTM": lambda: through(kl.LSTM(3, dropout=0.5)),
    "stacked": lambda: through(kl.LSTM(3, return_sequences=True), kl.Dropout(0.1), kl.LSTM(2)),
    "Bidirectional": lambda: through(kl.Bidirectional(kl.GRU(2))),
    "cells": lambda: through(kl.RNN([kl.LSTMCell(2), kl.GRUCell(3)])),
    "normalized": lambda: through(kl.BatchNormalization(), kl.SpatialDropout1D(0.1), kl.LSTM(2)),
    "pooled": lambda: through(kl.GlobalAveragePooling1D()),
    "mask that ends": lambda: through(kl.Conv1D(2, 3), kl.LSTM(2)),
    "Masking": masking,
    "encoder and decoder": encoder_decoder,
    "attention": attention,
    "shared": shared,
    "nested": nested,
    "written by hand": written_by_hand,
    "Add": lambda: merged(kl.Add()),
    "Concatenate": lambda: merged(kl.Concatenate()),
    "Concatenate in time": lambda: merged(kl.Concatenate(axis=1)),
    "Concatenate with no mask": lambda: merged(kl.Concatenate(), masked=False),
    "Multiply with no mask": lambda: merged(kl.Multiply(), masked=False),
}


def arrays_for(model: keras.Model) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        f"x{i}": random.integers(0, 4, (8, *tensor.shape[1:])).astype(tensor.dtype)
        for i, tensor in enumerate(model.inputs)
    }


def parsed(model: keras.Model) -> tuple[JobSpec, dict[str, ArrayInfo]]:
    arrays = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in arrays_for(model).items()}
    infos = arrays | {"y": ArrayInfo((8, model.output.shape[-1]), "float32")}
    raw: dict[str, Any] = {
        "model": model.to_json(),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": list(arrays), "y": "y"},
        "seed": 1,
    }
    return parse_job(raw, lambda name: DatasetInfo(name, infos)).spec, infos


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_masks_is_the_same_model(name: str) -> None:
    model = MODELS[name]()
    spec, _ = parsed(model)
    built = build_model(spec.model)
    assert [type(each) for each in built.operations] == [type(each) for each in model.operations]
    built.set_weights(model.get_weights())
    x = list(arrays_for(model).values())
    np.testing.assert_array_equal(built(x), model(x))


@pytest.mark.parametrize("name", MODELS)
def test_the_check_accepts_a_model_with_masks(name: str) -> None:
    spec, infos = parsed(MODELS[name]())
    request = {"spec": spec.to_json(), "arrays": infos, "classes": None, "dataset_path": None, "max_bytes": 10**12}
    assert check(ModelCheckRequest.model_validate(request), lambda pointer: None).faults == []


def test_what_keras_says_of_an_operation_points_to_it() -> None:
    spec, infos = parsed(masking())
    stored = spec.to_json()
    operation = stored["model"]["config"]["layers"][3]
    assert operation["class_name"] == "Any"
    operation["config"]["axis"] = 9
    request = {"spec": stored, "arrays": infos, "classes": None, "dataset_path": None, "max_bytes": 10**12}
    [fault] = check(ModelCheckRequest.model_validate(request), lambda pointer: None).faults
    assert (fault.code, fault.pointer) == ("invalid_model", "/model/config/layers/3")
