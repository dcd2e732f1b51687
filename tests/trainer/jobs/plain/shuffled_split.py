"""A plain Keras script that shuffles sorted samples before Keras splits the last of them off. Prints the history.

Usage: shuffled_split.py NPZ SEED
"""

import json
import sys

import keras
import numpy as np

arrays, seed = np.load(sys.argv[1]), int(sys.argv[2])
order = np.random.default_rng(seed).permutation(len(arrays["y"]))
keras.utils.set_random_seed(seed)
model = keras.Sequential(
    [keras.layers.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
)
model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    arrays["x"][order], arrays["y"][order], sample_weight=arrays["w"][order],
    epochs=2, batch_size=64, shuffle=False, validation_split=0.25, verbose=0,
)  # fmt: skip
sys.stdout.write(json.dumps(history.history))
