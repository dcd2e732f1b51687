"""A program that trains on digits by `client.fit`, or follows a job: `fit_digits.py fit`, `fit_digits.py attach ID`.

It writes what it got as its last line. An interrupt afterwards ends it.
"""

import json
import os
import sys
from importlib.resources import files

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np

import fitqueue


def main() -> None:
    with (files("fitqueue") / "datasets" / "digits.npz").open("rb") as file, np.load(file) as digits:
        x, y = digits["x_train"].astype("float32") / 16, digits["y_train"]
        validation = digits["x_test"].astype("float32") / 16, digits["y_test"]
    keras.utils.set_random_seed(3 if sys.argv[1] == "fit" else 4)
    model = keras.Sequential(
        [keras.layers.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    client = fitqueue.Client()
    if sys.argv[1] == "fit":
        history = client.fit(model, x, y, batch_size=8, epochs=30, validation_data=validation, seed=5, verbose=2)
    else:
        history = client.attach(sys.argv[2], model, verbose=2)
    weights = [weight.tolist() for weight in model.get_weights()]
    result = {"job": history.job.id, "history": history.history, "epoch": history.epoch, "weights": weights}
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
