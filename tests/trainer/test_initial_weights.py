"""Which model's weights fit into which: said without a file, and tried with one."""

from pathlib import Path
from typing import Any

import keras
import pytest
from workers.model_check.weight_shapes import stored_shapes

layers = keras.layers


def sequence(*inner: Any) -> keras.Model:
    return keras.Sequential([keras.Input((8, 4)), *inner])


def branches(units: int) -> keras.Model:
    start = keras.Input((8, 4))
    ends = [layers.Dense(units)(start), layers.GRU(3)(layers.Dropout(0.5)(start))]
    return keras.Model(start, ends)


MODELS = {
    "dense": lambda: sequence(layers.Dense(3)),
    "wider": lambda: sequence(layers.Dense(4)),
    "deeper": lambda: sequence(layers.Dense(3), layers.Dense(3)),
    "without bias": lambda: sequence(layers.Dense(3, use_bias=False)),
    "named": lambda: sequence(layers.Dense(3, name="mine")),
    "recurrent": lambda: sequence(layers.Bidirectional(layers.LSTM(3))),
    "normalized": lambda: sequence(layers.BatchNormalization(), layers.Dense(3)),
    "branches": lambda: branches(3),
    "wider branches": lambda: branches(5),
    "nested": lambda: sequence(keras.Sequential([layers.Dense(3)])),
    "attention": lambda: sequence(layers.TimeDistributed(layers.Dense(3)), layers.Flatten()),
}


@pytest.mark.parametrize("wanted", MODELS)
def test_what_fits_is_what_keras_loads(wanted: str, tmp_path: Path) -> None:
    for name, make in MODELS.items():
        path = tmp_path / f"{name}.weights.h5"
        make().save_weights(path)
        model = MODELS[wanted]()
        with keras.StatelessScope(initialize_variables=False):
            own, other = stored_shapes(MODELS[wanted]()), stored_shapes(make())
        assert own is not None
        assert other is not None
        fits = all(other.get(place) == shapes for place, shapes in own.items())
        try:
            model.load_weights(path)
        except ValueError:
            assert not fits, name
        else:
            assert fits, name
