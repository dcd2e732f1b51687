"""Scripts of Keras 2 that train by `client.fit` and, from the same weights, by `model.fit`: `fit_keras2.py`.

It prints the histories of both, and the largest difference of a weight, for each script.
"""

import json
import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tf_keras as keras
from tf_keras import layers

import fitqueue
from fitqueue.datasets import BUILTIN

COMMON = {"epochs": 3, "shuffle": False, "verbose": 0}
NEW_NAMES = {"lr": "learning_rate"}


def dense() -> tuple[keras.Model, dict[str, Any]]:
    model = keras.Sequential([layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"batch_size": 32}


def cnn() -> tuple[keras.Model, dict[str, Any]]:
    inputs = layers.Input((8, 8))
    hidden = layers.Conv2D(8, 3, activation="relu")(layers.Reshape((8, 8, 1))(inputs))
    hidden = layers.Flatten()(layers.MaxPooling2D()(layers.BatchNormalization()(hidden)))
    model = keras.Model(inputs, layers.Dense(10)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=0.5)
    return model, {"callbacks": [plateau], "class_weight": {**dict.fromkeys(range(10), 1.0), 7: 0.5}}


def lstm() -> tuple[keras.Model, dict[str, Any]]:
    model = keras.Sequential([layers.Input((8, 8)), layers.LSTM(12), layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.RMSprop(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {}


def main() -> None:
    with np.load(BUILTIN["digits"].path) as file:
        x, y, xv, yv = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    x, xv = x[:256] / 16, xv[:64] / 16
    results = {}
    with fitqueue.Client() as client:
        for script in (dense, cnn, lstm):
            keras.utils.set_random_seed(3)
            model, options = script()
            model.build((None, 8, 8))
            start = model.get_weights()
            arguments = {**COMMON, **options, "validation_data": (xv, yv[:64])}
            job = client.fit(model, x, y[:256], seed=3, restore="last", **arguments)
            assert isinstance(job, keras.callbacks.History)
            trained = model.get_weights()
            model, options = script()
            model.build((None, 8, 8))
            model.set_weights(start)
            plain = model.fit(x, y[:256], **{**arguments, **options})
            differences = [abs(ours - theirs).max() for ours, theirs in zip(trained, model.get_weights(), strict=True)]
            results[script.__name__] = {
                "job": job.history,
                "plain": {NEW_NAMES.get(name, name): list(map(float, each)) for name, each in plain.history.items()},
                "difference": float(max(differences)),
            }
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
