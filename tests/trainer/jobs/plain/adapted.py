"""A plain Keras script that adapts layers to the part of the data that it trains on. Prints the history of each case.

Usage: adapted.py DATA_NPZ
"""

import json
import sys

import keras
import numpy as np
from keras import layers

data = np.load(sys.argv[1])
numbers, words, y = data["numbers"], data["words"], data["y"]
trained = int(len(y) * 0.75)


def adapted(layer, values):
    layer.adapt(values)
    return layer


def stack(array, *made):
    """Make the layers in order, and adapt those that can be to what the layers before them give."""
    values, stacked = array[:trained], []
    for make in made:
        layer = make()
        if hasattr(layer, "adapt"):
            layer.adapt(values)
        values = layer(values)
        stacked.append(layer)
    head = [layers.Dense(4, activation="relu"), layers.Dense(1)]
    return keras.Sequential([keras.Input(array.shape[1:], dtype=str(array.dtype)), *stacked, *head]), array


def functional():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b", dtype="int64")
    normalized = adapted(layers.Normalization(), numbers[:trained])(a)
    looked_up = adapted(layers.IntegerLookup(output_mode="multi_hot"), words[:trained])(b)
    both = layers.Concatenate()([normalized, looked_up])
    return keras.Model({"first": a, "second": b}, layers.Dense(1)(both)), {"first": numbers, "second": words}


CASES = {
    "normalization": lambda: stack(numbers, layers.Normalization),
    "one mean for all": lambda: stack(numbers, lambda: layers.Normalization(axis=None)),
    "bins": lambda: stack(numbers, lambda: layers.Discretization(num_bins=6, output_mode="one_hot"), layers.Flatten),
    "vocabulary": lambda: stack(words, lambda: layers.IntegerLookup(output_mode="multi_hot")),
    "frequencies": lambda: stack(words, lambda: layers.IntegerLookup(output_mode="tf_idf", max_tokens=9)),
    "one behind another": lambda: stack(
        numbers,
        lambda: layers.Rescaling(0.5, offset=1.0),
        layers.Normalization,
        lambda: layers.Discretization(num_bins=5),
        lambda: layers.Rescaling(0.25),
    ),
    "two inputs": functional,
}

histories = {}
for case, make in CASES.items():
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    model, x = make()
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    fitted = model.fit(x, y, batch_size=32, epochs=3, shuffle=False, validation_split=0.25, verbose=0)
    histories[case] = fitted.history
json.dump(histories, sys.stdout)
