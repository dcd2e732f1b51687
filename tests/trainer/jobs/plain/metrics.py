"""A plain Keras script with any metrics of Keras. Prints its history, with the values of each metric as a list.

Usage: metrics.py DIGITS_NPZ LOSS METRICS; METRICS is the JSON of a list of [class, config].
"""

import json
import sys

import keras
import numpy as np

digits = np.load(sys.argv[1])
x, labels = digits["x_train"] * 0.0625, digits["y_train"]
loss = sys.argv[2]
metrics = [getattr(keras.metrics, name)(**config) for name, config in json.loads(sys.argv[3])]

keras.utils.set_random_seed(7)
layers = [keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
model = keras.Sequential(layers)
model.compile(optimizer=keras.optimizers.Adam(0.001), loss=loss, metrics=metrics)
y = labels if loss.startswith("sparse") else keras.utils.to_categorical(labels, 10)
history = model.fit(x, y, batch_size=64, epochs=2, shuffle=False, validation_split=0.25, verbose=0).history
lists = {name: [np.asarray(value, "float64").tolist() for value in values] for name, values in history.items()}
json.dump(lists, sys.stdout)
