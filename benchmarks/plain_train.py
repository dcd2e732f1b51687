"""The reference's CNN as a plain Keras script, as people run it without the service. Benchmarks compare with it.

Usage: python benchmarks/plain_train.py DATA.npz EPOCHS LEARNING_RATE SCALE
Prints one JSON line: `first_step_at` (Unix time when the first training step was done), `fit_seconds` and
`fit_cpu_seconds`.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D


class FirstStep(keras.callbacks.Callback):
    at: float | None = None

    def on_train_batch_end(self, batch, logs=None):
        self.at = self.at or time.time()


def load(data: str, scale: float):
    """Return (x, y, x_val, y_val): images as float32 with one channel, labels as one-hot vectors of 10."""
    with np.load(data) as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
        x_val, y_val = arrays["x_test"], arrays["y_test"]
    x, x_val = (images[..., None].astype("float32") * scale for images in (x, x_val))
    y, y_val = (keras.utils.to_categorical(labels, 10) for labels in (y, y_val))
    return x, y, x_val, y_val


def make_model(shape: tuple[int, ...], learning_rate: float) -> keras.Model:
    """Return the compiled CNN for images of this shape."""
    model = keras.Sequential(
        [
            Input(shape),
            Conv2D(32, (5, 5), activation="relu", padding="same"),
            MaxPooling2D((2, 2), strides=2, padding="same"),
            Conv2D(64, (5, 5), activation="relu", padding="same"),
            MaxPooling2D((2, 2), strides=2, padding="same"),
            Flatten(),
            Dense(1024, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def make_callbacks(folder: Path, epochs: int) -> list[keras.callbacks.Callback]:
    """Return the reference's three callbacks; the checkpoints are written into this folder."""
    return [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=epochs),
        keras.callbacks.ModelCheckpoint(
            folder / "ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.weights.h5",
            save_best_only=True,
            save_weights_only=True,
        ),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=epochs),
    ]


def main(data: str, epochs: int, learning_rate: float, scale: float) -> None:
    keras.utils.set_random_seed(7)
    x, y, x_val, y_val = load(data, scale)
    model = make_model(x.shape[1:], learning_rate)
    first_step = FirstStep()
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [*make_callbacks(Path(folder), epochs), first_step]
        began, cpu_began = time.perf_counter(), time.process_time()
        model.fit(x, y, epochs=epochs, batch_size=64, validation_data=(x_val, y_val), callbacks=callbacks, verbose=2)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    print(json.dumps({"first_step_at": first_step.at, "fit_seconds": seconds, "fit_cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
