"""ResNet50 on images of CIFAR's size as a plain Keras script.

Usage: python benchmarks/plain_resnet.py DATA.npz EPOCHS
Prints one JSON line: `epoch_seconds`, the seconds of each epoch.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


class EpochSeconds(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._began)


def main(data: str, epochs: int) -> None:
    keras.utils.set_random_seed(7)
    with np.load(data) as arrays:
        x, y = arrays["x_train"].astype("float32") / 255, arrays["y_train"]
    model = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    epoch_seconds = EpochSeconds()
    model.fit(x, y, epochs=epochs, batch_size=128, callbacks=[epoch_seconds], verbose=2)
    print(json.dumps({"epoch_seconds": epoch_seconds.seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
