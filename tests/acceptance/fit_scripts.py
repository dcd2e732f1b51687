"""Eleven scripts as people write them, trained by `model.fit` or by `client.fit`: `python fit_scripts.py fit|job FILE`.

It writes the history and all variables of each into an .npz. Only the call of `fit` is another one.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
from keras import layers

import fitqueue
from fitqueue.datasets import BUILTIN

SEED = 1234

Fit = Callable[..., keras.callbacks.History]


def digits() -> tuple[Any, Any, Any, Any]:
    with np.load(BUILTIN["digits"].path) as file:
        return file["x_train"][:512] / 16.0, file["y_train"][:512], file["x_test"][:128] / 16.0, file["y_test"][:128]


def dense(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, xv, yv = digits()
    model = keras.Sequential([layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("rmsprop", loss, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top3")])
    return model, fit(model, x, y, epochs=3, batch_size=64, validation_data=(xv, yv))


def cnn(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, xv, yv = digits()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)), layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization(),
            layers.MaxPooling2D(), layers.Dropout(0.25), layers.Flatten(), layers.Dense(10, activation="softmax"),
        ]
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(0.003), "categorical_crossentropy", metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.2),
        keras.callbacks.EarlyStopping(patience=5),
        keras.callbacks.ModelCheckpoint("best.weights.h5", save_best_only=True, save_weights_only=True),
    ]
    validation = (xv[..., None], keras.utils.to_categorical(yv, 10))
    targets = keras.utils.to_categorical(y, 10)
    return model, fit(model, x[..., None], targets, epochs=4, validation_data=validation, callbacks=callbacks)


def lstm_encoder_decoder(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 20, (256, 6))
    before = np.concatenate([np.zeros((256, 1), x.dtype), x[:, :0:-1]], axis=1)
    source, shifted = keras.Input((6,), name="source"), keras.Input((6,), name="shifted")
    embedding = layers.Embedding(20, 8, mask_zero=True)
    _, h, c = layers.LSTM(16, return_state=True, dropout=0.1)(embedding(source))
    decoded = layers.LSTM(16, return_sequences=True)(embedding(shifted), initial_state=[h, c])
    model = keras.Model([source, shifted], layers.Dense(20, activation="softmax")(decoded))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, fit(model, [x, before], x[:, ::-1].copy(), epochs=2, batch_size=32, validation_split=0.25)


def two_inputs_and_outputs(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    rng = np.random.default_rng(1)
    image, table = rng.random((200, 8, 8, 1)), rng.random((200, 5))
    a, b = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="table")
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(a)), layers.Dense(4)(b)])
    price, kind = layers.Dense(1, name="price")(joined), layers.Dense(3, activation="softmax", name="kind")(joined)
    model = keras.Model([a, b], [price, kind])
    losses = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    model.compile(
        "sgd", losses, metrics={"price": ["mae"], "kind": ["accuracy"]}, loss_weights={"price": 0.5, "kind": 2}
    )
    targets = {"price": table.sum(axis=1, keepdims=True), "kind": rng.integers(0, 3, 200)}
    return model, fit(model, {"image": image, "table": table}, targets, epochs=2, sample_weight=None)


def embedding(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 100, (300, 12)), rng.integers(0, 2, 300)
    model = keras.Sequential(
        [
            layers.Embedding(100, 8), layers.SpatialDropout1D(0.2), layers.Bidirectional(layers.GRU(8)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )  # fmt: skip
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
    return model, fit(model, x, y, epochs=2, validation_split=0.2, sample_weight=rng.random(300))


def augmentation(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, xv, yv = digits()
    augment = keras.Sequential(
        [layers.RandomTranslation(0.1, 0.1), layers.RandomRotation(0.1), layers.GaussianNoise(0.1)]
    )
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Reshape((8, 8, 1)),
            augment,
            layers.Conv2D(8, 3),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, fit(model, x, y, epochs=2, validation_data=(xv, yv))


def autoencoder(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, _, xv, _ = digits()
    flat, validation = x.reshape(len(x), 64), xv.reshape(len(xv), 64)
    encoder = keras.Sequential([keras.Input((64,)), layers.Dense(16, activation="relu", activity_regularizer="l1")])
    decoder = keras.Sequential([keras.Input((16,)), layers.Dense(64, activation="sigmoid")])
    image = keras.Input((64,))
    model = keras.Model(image, decoder(encoder(image)))
    model.compile("nadam", "binary_crossentropy")
    return model, fit(model, flat, flat, epochs=3, batch_size=128, validation_data=(validation, validation))


def moving_average(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, xv, yv = digits()
    model = keras.Sequential(
        [keras.Input((8, 8)), layers.Flatten(), layers.Dense(16, "tanh"), layers.Dense(10, "softmax")]
    )
    model.compile(keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.9), "sparse_categorical_crossentropy")
    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
    return model, fit(model, x, y, epochs=3, validation_data=(xv, yv), callbacks=callbacks)


def schedules(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, _, _ = digits()
    model = keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0), "sparse_categorical_crossentropy"
    )
    callbacks = [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * (0.5 if epoch % 2 else 0.9))]
    return model, fit(model, x, y, epochs=5, callbacks=callbacks, steps_per_epoch=7)


def class_weights(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, xv, yv = digits()
    model = keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dropout(0.5), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], weighted_metrics=["mae"])
    weights = {0: 0.5, 1: 5.0}
    return model, fit(model, x, y == 3, epochs=3, class_weight=weights, validation_data=(xv, yv == 3), shuffle=False)


def two_fits(fit: Fit) -> tuple[keras.Model, keras.callbacks.History]:
    x, y, xv, yv = digits()
    model = keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(model, x, y, epochs=2, restore="all")
    return model, fit(model, x, y, epochs=2, validation_data=(xv, yv), restore="all")


SCRIPTS = (
    dense, cnn, lstm_encoder_decoder, two_inputs_and_outputs, embedding, augmentation, autoencoder, moving_average,
    schedules, class_weights, two_fits,
)  # fmt: skip


def plain_fit(model: keras.Model, *data: Any, restore: str = "last", **arguments: Any) -> keras.callbacks.History:
    del restore  # its own model has it all
    keras.utils.set_random_seed(SEED)
    return model.fit(*data, verbose=0, **arguments)


def job_fit(model: keras.Model, *data: Any, restore: str = "last", **arguments: Any) -> keras.callbacks.History:
    with fitqueue.Client() as client:
        return client.fit(model, *data, verbose=0, seed=SEED, restore=restore, **arguments)


def main(how: str, path: str) -> None:
    results: dict[str, Any] = {}
    for number, script in enumerate(SCRIPTS):
        keras.utils.set_random_seed(number)
        model, history = script(plain_fit if how == "fit" else job_fit)
        assert isinstance(history, keras.callbacks.History)
        results[script.__name__] = json.dumps([history.history, history.epoch])
        variables = [*model.variables, *(model.optimizer.variables if script is two_fits else [])]
        results |= {f"{script.__name__}/{index}": value.numpy() for index, value in enumerate(variables)}
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
