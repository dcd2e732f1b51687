"""The shapes that tell without a file whether Keras can load the weights of one model into another."""

from pathlib import Path
from typing import Any

import keras
import pytest

from workers.model_check.initial_weights import stored_shapes

layers = keras.layers


def sequential(*inner: Any) -> keras.Model:
    return keras.Sequential([keras.Input((8, 4)), *inner])


def branches(units: int) -> keras.Model:
    inputs = keras.Input((8, 4))
    outputs = [layers.Dense(units)(inputs), layers.GRU(3)(layers.Dropout(0.5)(inputs))]
    return keras.Model(inputs, outputs)


MODELS = {
    "dense": lambda: sequential(layers.Dense(3)),
    "wider": lambda: sequential(layers.Dense(4)),
    "deeper": lambda: sequential(layers.Dense(3), layers.Dense(3)),
    "without bias": lambda: sequential(layers.Dense(3, use_bias=False)),
    "named": lambda: sequential(layers.Dense(3, name="mine")),
    "recurrent": lambda: sequential(layers.Bidirectional(layers.LSTM(3))),
    "normalized": lambda: sequential(layers.BatchNormalization(), layers.Dense(3)),
    "branches": lambda: branches(3),
    "wider branches": lambda: branches(5),
    "nested": lambda: sequential(keras.Sequential([layers.Dense(3)])),
    "attention": lambda: sequential(layers.TimeDistributed(layers.Dense(3)), layers.Flatten()),
}


@pytest.mark.parametrize("target", MODELS)
def test_keras_loads_weights_if_their_shapes_match(target: str, tmp_path: Path) -> None:
    for name, make in MODELS.items():
        file = tmp_path / f"{name}.weights.h5"
        make().save_weights(file)
        model = MODELS[target]()
        with keras.StatelessScope(initialize_variables=False):
            needed, stored = stored_shapes(MODELS[target]()), stored_shapes(make())
        assert needed is not None
        assert stored is not None
        matches = all(stored.get(path) == shapes for path, shapes in needed.items())
        try:
            model.load_weights(file)
        except ValueError:
            assert not matches, name
        else:
            assert matches, name
