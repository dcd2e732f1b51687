"""A plain Keras script: a small CNN on the digits, with three callbacks. Prints what the tests compare.

Usage: digits.py DIGITS_NPZ WEIGHTS_TO_LOAD
"""

import json
import sys
import tempfile

import keras
import numpy as np

digits = np.load(sys.argv[1])
x_train, x_test = (digits[name].reshape(-1, 8, 8, 1) * 0.0625 for name in ("x_train", "x_test"))
y_train, y_test = (keras.utils.to_categorical(digits[name], 10) for name in ("y_train", "y_test"))


def make_model():
    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(8, (3, 3), activation="relu", padding="same"),
            keras.layers.MaxPooling2D(pool_size=(2, 2), strides=2, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


class LearningRates(keras.callbacks.Callback):
    """Records the learning rate of each epoch."""

    def __init__(self):
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


class RecordingCheckpoint(keras.callbacks.ModelCheckpoint):
    """Records the epochs after which Keras's ModelCheckpoint saves."""

    def set_model(self, model):
        self.saved = []
        super().set_model(model)

    def _save_model(self, epoch, batch, logs):
        before = self.best
        super()._save_model(epoch, batch, logs)
        if self.best != before:
            self.saved.append(epoch + 1)


keras.utils.set_random_seed(7)
model = make_model()
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="categorical_crossentropy", metrics=["accuracy"])
rates = LearningRates()
best_path = f"{tempfile.mkdtemp()}/best.weights.h5"
checkpoint = RecordingCheckpoint(best_path, monitor="val_loss", save_best_only=True, save_weights_only=True)
history = model.fit(
    x_train, y_train, epochs=30, batch_size=64, shuffle=False, verbose=0, validation_data=(x_test, y_test),
    callbacks=[
        keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=0.002, patience=4),
        checkpoint,
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=2),
        rates,
    ],
)  # fmt: skip
loaded = make_model()
loaded.load_weights(sys.argv[2])
loaded.compile(loss="categorical_crossentropy", metrics=["accuracy"])
best = keras.models.clone_model(model)
best.load_weights(best_path)
sys.stdout.write(
    json.dumps(
        {
            "history": history.history,
            "rates": rates.rates,
            "best_epochs": checkpoint.saved,
            "evaluation": loaded.evaluate(x_test, y_test, batch_size=64, verbose=0, return_dict=True),
            "weights_equal": all(map(np.array_equal, loaded.get_weights(), best.get_weights())),
        }
    )
)
