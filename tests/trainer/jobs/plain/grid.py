"""Plain Keras scripts: the jobs of test_grid.py as a user of Keras 3 would write them.

Usage: grid.py DIGITS_NPZ. It reads lines «CASE FOLDER», trains each case in a fork of itself, which is like a script
that was just started, and prints the fork's exit status. The folder then contains what ModelCheckpoint wrote, the last
weights as `final.weights.h5`, and `result.json`.
"""

import json
import os
import sys
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import callbacks as kc
from keras import layers as kl
from keras import losses, metrics, optimizers
from keras.optimizers import schedules

EarlyStopping, ReduceLROnPlateau, ModelCheckpoint = kc.EarlyStopping, kc.ReduceLROnPlateau, kc.ModelCheckpoint
SCE = "sparse_categorical_crossentropy"


class LearningRates(kc.Callback):
    """Records the learning rate of each epoch."""

    def __init__(self):
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


class EveryNthEpoch(ModelCheckpoint):
    """Saves every `period` epochs, as the documentation of Keras 2 says."""

    def __init__(self, *args, period, **kwargs):
        super().__init__(*args, **kwargs)
        self.period, self.epochs_since_saved = period, 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs_since_saved += 1
        if self.epochs_since_saved >= self.period:
            self.epochs_since_saved = 0
            super().on_epoch_end(epoch, logs)


# --- Models --------------------------------------------------------------------------------------------------------


def sequential(*layers, shape=(8, 8)):
    return keras.Sequential([keras.Input(shape), *layers])


def dense(activation="softmax"):
    return sequential(kl.Flatten(), kl.Dense(10, activation=activation))


def cnn():
    return sequential(
        kl.Conv2D(8, (3, 3), activation="relu", padding="same"),
        kl.MaxPooling2D(pool_size=(2, 2), strides=2, padding="same"),
        kl.BatchNormalization(),
        kl.Flatten(),
        kl.Dropout(0.25),
        kl.Dense(10, activation="softmax"),
        shape=(8, 8, 1),
    )


def wide():
    return sequential(kl.Flatten(), kl.Dense(24, activation="relu"), kl.Dense(10, activation="softmax"))


def residual():
    inputs = keras.Input((8, 8))
    flat = kl.Flatten()(inputs)
    side = kl.Dense(64, activation="relu")(flat)
    return keras.Model(inputs, kl.Dense(10, activation="softmax")(kl.Add()([flat, side])))


def read_back(make):
    """Return the model that Keras itself builds from the `to_json()` of another, with seeds as in a fresh process."""
    text = make().to_json()
    keras.utils.set_random_seed(7)
    return keras.models.model_from_json(text)


def wrapped():
    return sequential(
        kl.Bidirectional(kl.LSTM(4, return_sequences=True)),
        kl.TimeDistributed(kl.Dense(3)),
        kl.Flatten(),
        kl.Dense(10, activation="softmax"),
    )


# --- Data and training ---------------------------------------------------------------------------------------------

digits = np.load(sys.argv[1])


def images(name, *, shape=(8, 8), scale=0.0625, offset=None):
    x = (digits[name].astype("float64") * scale).astype("float32").reshape(-1, *shape)
    return x if offset is None else (x.astype("float64") + offset).astype("float32")


def run(
    model,
    *own,
    optimizer=None,
    loss=SCE,
    metrics=("accuracy",),
    one_hot=False,
    validated=True,
    x=images,
    epochs=4,
    batch_size=64,
    shuffle=False,
    compiled=None,
    **arguments,
):
    prepare_y = (lambda y: keras.utils.to_categorical(y, 10)) if one_hot else (lambda y: y)
    data = [(x(f"x_{part}"), prepare_y(digits[f"y_{part}"])) for part in ("train", "test")]
    if validated:
        arguments["validation_data"] = data[1]
    model.compile(optimizer=optimizer or optimizers.Adam(0.01), loss=loss, metrics=list(metrics), **(compiled or {}))
    rates = LearningRates()
    history = model.fit(
        *data[0],
        epochs=epochs, batch_size=batch_size, shuffle=shuffle, verbose=0, callbacks=[*own, rates], **arguments,
    )  # fmt: skip
    model.save_weights("final.weights.h5")
    return {"history": history.history, "rates": rates.rates, "model": model.to_json()}


def recurrent(*layers, x=images, **arguments):
    return run(sequential(*layers, kl.Dense(10, activation="softmax")), x=x, **arguments)


CASES = {
    # Callbacks.
    "no_callback": lambda: run(dense()),
    "not_validated": lambda: run(dense(), validated=False),
    "validation_split": lambda: run(dense(), validated=False, validation_split=0.25),
    "shuffled": lambda: run(dense(), shuffle=True),
    "one_batch": lambda: run(dense(), batch_size=1437),
    "last_batch_of_one": lambda: run(dense(), batch_size=359),
    "stop_at_once": lambda: run(dense(), EarlyStopping(min_delta=1.0), epochs=20),
    "stop_as_documented": lambda: run(
        wide(), EarlyStopping(monitor="val_loss", min_delta=0.1, patience=2, verbose=1), epochs=20
    ),
    "stop_and_restore": lambda: run(
        wide(), EarlyStopping(min_delta=0.05, patience=2, restore_best_weights=True), epochs=20
    ),
    "restore_without_stop": lambda: run(
        dense(), EarlyStopping(patience=50, restore_best_weights=True, monitor="val_accuracy"), epochs=4
    ),
    "stop_not_before": lambda: run(dense(), EarlyStopping(min_delta=1.0, start_from_epoch=4), epochs=20),
    "stop_below_baseline": lambda: run(dense(), EarlyStopping(baseline=0.01, patience=3), epochs=20),
    "stop_by_accuracy": lambda: run(
        wide(), EarlyStopping(monitor="val_accuracy", mode="max", min_delta=0.01, patience=2), epochs=20
    ),
    "stop_by_metric_automatically": lambda: run(
        wide(), EarlyStopping(monitor="accuracy", min_delta=0.02, patience=1), epochs=20
    ),
    "stop_by_training_loss": lambda: run(
        dense(), EarlyStopping(monitor="loss", mode="min", min_delta=0.05, patience=1), validated=False, epochs=20
    ),
    "reduce_as_documented": lambda: run(
        dense(), ReduceLROnPlateau(monitor="val_loss", factor=0.2, patience=1, min_lr=0.001, min_delta=0.1), epochs=8
    ),
    "reduce_by_old_epsilon": lambda: run(dense(), ReduceLROnPlateau(patience=1, min_delta=0.5), epochs=6),
    "reduce_with_cooldown": lambda: run(
        dense(), ReduceLROnPlateau(patience=1, min_delta=1.0, cooldown=2, factor=0.5), epochs=8
    ),
    "reduce_to_a_floor": lambda: run(
        dense(), ReduceLROnPlateau(patience=1, min_delta=1.0, factor=0.1, min_lr=0.0005), epochs=6
    ),
    "reduce_by_accuracy": lambda: run(
        dense(), ReduceLROnPlateau(monitor="accuracy", mode="max", min_delta=0.1, patience=1), epochs=6
    ),
    "reduce_without_validation": lambda: run(
        dense(), ReduceLROnPlateau(monitor="loss", min_delta=0.3, patience=2), validated=False, epochs=6
    ),
    "reduce_the_rate_watching_itself": lambda: run(
        dense(),
        ReduceLROnPlateau(patience=1, min_delta=1.0),
        ReduceLROnPlateau(monitor="learning_rate", mode="min", patience=2, factor=0.5),
        epochs=6,
    ),
    "save_each_epoch": lambda: run(
        dense(), ModelCheckpoint("e{epoch:02d}-{loss:.3f}.weights.h5", save_weights_only=True)
    ),
    "save_one_name": lambda: run(dense(), ModelCheckpoint("model.weights.h5", save_weights_only=True)),
    "save_whole_models": lambda: run(wide(), ModelCheckpoint("e{epoch}.keras")),
    "save_best_as_documented": lambda: run(
        wide(),
        ModelCheckpoint(
            "ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.weights.h5",
            monitor="val_loss",
            verbose=1,
            save_best_only=True,
            save_weights_only=True,
        ),
        optimizer=optimizers.Adam(0.1),
        epochs=8,
    ),
    "save_best_by_accuracy": lambda: run(
        wide(),
        ModelCheckpoint("b{epoch}-{val_accuracy:.4f}.keras", monitor="val_accuracy", mode="max", save_best_only=True),
        optimizer=optimizers.Adam(0.1),
        epochs=6,
    ),
    "save_old_hdf5": lambda: run(dense(), ModelCheckpoint("weights.{epoch:02d}-{val_loss:.2f}.keras")),
    "save_every_second": lambda: run(
        dense(), EveryNthEpoch("p{epoch}.weights.h5", save_weights_only=True, period=2), epochs=5
    ),
    "save_best_of_every_third": lambda: run(
        wide(),
        EveryNthEpoch("p{epoch}.weights.h5", save_weights_only=True, save_best_only=True, period=3),
        optimizer=optimizers.Adam(0.1),
        epochs=10,
    ),
    "save_by_batches": lambda: run(
        dense(), ModelCheckpoint("b{epoch}-{batch:03d}.weights.h5", save_weights_only=True, save_freq=10), epochs=2
    ),
    "save_below_threshold": lambda: run(
        dense(),
        ModelCheckpoint(
            "t{epoch}.weights.h5", save_weights_only=True, save_best_only=True, initial_value_threshold=0.5
        ),
        epochs=6,
    ),
    "save_with_optimizer": lambda: run(dense(), ModelCheckpoint("o{epoch}.weights.h5", save_weights_only=True)),
    "save_whole_with_optimizer": lambda: run(dense(), ModelCheckpoint("o{epoch}.keras")),
    "save_twice": lambda: run(
        dense(),
        ModelCheckpoint("all-{epoch}.weights.h5", save_weights_only=True),
        ModelCheckpoint("best.keras", monitor="val_accuracy", mode="max", save_best_only=True),
    ),
    "all_three_as_documented": lambda: run(
        cnn(),
        EarlyStopping(monitor="val_loss", min_delta=0.1, patience=2, verbose=1),
        ModelCheckpoint(
            "ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.weights.h5",
            monitor="val_loss", verbose=1, save_best_only=True, save_weights_only=True,
        ),
        ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=2, verbose=1),
        x=cnn_images, one_hot=True, loss="categorical_crossentropy", optimizer=optimizers.Adam(1e-2), epochs=12,
    ),
    "all_three_the_other_way_round": lambda: run(
        wide(),
        ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=0.05),
        ModelCheckpoint("{epoch}.weights.h5", save_best_only=True, save_weights_only=True),
        EarlyStopping(monitor="val_loss", min_delta=0.02, patience=3, restore_best_weights=True),
        optimizer=optimizers.Adam(0.1), epochs=20,
    ),
    "terminate_on_nan": lambda: run(dense(), kc.TerminateOnNaN(), optimizer=optimizers.SGD(1e38), epochs=6),
    # Optimizers, written for new and old versions of Keras.
    "sgd": lambda: run(dense(), optimizer=optimizers.SGD()),
    "sgd_nesterov": lambda: run(dense(), optimizer=optimizers.SGD(0.05, momentum=0.9, nesterov=True)),
    "rmsprop": lambda: run(dense(), optimizer=optimizers.RMSprop(0.005, rho=0.8, centered=True)),
    "adagrad": lambda: run(dense(), optimizer=optimizers.Adagrad(0.1)),
    "adadelta": lambda: run(dense(), optimizer="adadelta"),
    "adamax": lambda: run(dense(), optimizer=optimizers.Adamax(0.01)),
    "nadam": lambda: run(dense(), optimizer=optimizers.Nadam(0.01)),
    "ftrl": lambda: run(dense(), optimizer=optimizers.Ftrl(0.1)),
    "lion": lambda: run(dense(), optimizer=optimizers.Lion(0.001)),
    "adamw": lambda: run(wide(), optimizer=optimizers.AdamW(0.01, weight_decay=0.05)),
    "adam_amsgrad_by_old_lr": lambda: run(dense(), optimizer=optimizers.Adam(0.02, amsgrad=True)),
    "clipped_by_norm": lambda: run(dense(), optimizer=optimizers.SGD(0.1, clipnorm=0.01)),
    "clipped_by_value": lambda: run(dense(), optimizer=optimizers.SGD(0.1, clipvalue=0.001)),
    "clipped_by_global_norm": lambda: run(wide(), optimizer=optimizers.SGD(0.1, global_clipnorm=0.05)),
    "averaged": lambda: run(dense(), optimizer=optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)),
    "accumulated": lambda: run(dense(), optimizer=optimizers.Adam(0.01, gradient_accumulation_steps=3)),
    "exponential_decay": lambda: run(
        dense(), optimizer=optimizers.Adam(schedules.ExponentialDecay(0.02, 23, 0.5, staircase=True))
    ),
    "cosine_decay": lambda: run(
        dense(), optimizer=optimizers.SGD(schedules.CosineDecay(0.0, 80, warmup_target=0.1, warmup_steps=10))
    ),
    "piecewise_decay": lambda: run(
        dense(), optimizer=optimizers.SGD(schedules.PiecewiseConstantDecay([23, 46], [0.1, 0.05, 0.01]))
    ),
    # Losses and metrics.
    "label_smoothing": lambda: run(
        dense(), loss=losses.CategoricalCrossentropy(label_smoothing=0.1), one_hot=True
    ),
    "from_logits": lambda: run(dense(None), loss=losses.SparseCategoricalCrossentropy(from_logits=True)),
    "focal": lambda: run(dense(), loss=losses.CategoricalFocalCrossentropy(gamma=1.5), one_hot=True),
    "binary_crossentropy": lambda: run(
        dense("sigmoid"), loss="binary_crossentropy", one_hot=True,
        metrics=["binary_accuracy", metrics.AUC(num_thresholds=50), metrics.Precision(), metrics.Recall()],
    ),
    **{
        name: lambda name=name: run(dense(), loss=name, one_hot=True)
        for name in (
            "mse", "mean_absolute_error", "mean_squared_logarithmic_error", "mean_absolute_percentage_error", "huber",
            "log_cosh", "kl_divergence", "poisson", "cosine_similarity", "hinge", "squared_hinge", "categorical_hinge",
        )
    },
    "metrics_by_old_name": lambda: run(dense(), metrics=["acc"]),
    "several_metrics": lambda: run(
        dense(),
        one_hot=True,
        loss="categorical_crossentropy",
        metrics=["accuracy", metrics.TopKCategoricalAccuracy(k=3), metrics.F1Score(average="macro"), "mse"],
    ),
    "old_logcosh": lambda: run(dense(), loss="log_cosh", one_hot=True),
    "old_kullback_leibler": lambda: run(
        dense(), loss="kl_divergence", one_hot=True, metrics=[metrics.CosineSimilarity(name="near")]
    ),
    # Arguments of training, and old ones.
    "old_decay": lambda: run(dense(), optimizer=optimizers.SGD(schedules.InverseTimeDecay(0.1, 1, 0.01))),
    "old_val_acc": lambda: run(
        wide(),
        EarlyStopping(monitor="val_accuracy", mode="max", min_delta=0.01, patience=2),
        ModelCheckpoint("{epoch}-{val_accuracy:.3f}.weights.h5", monitor="val_accuracy", save_best_only=True,
                        save_weights_only=True),
        epochs=20,
    ),
    "scheduled_by_epoch": lambda: run(dense(), kc.LearningRateScheduler(lambda epoch: 0.01 * 0.5 ** (epoch // 2))),
    "weighted_by_class": lambda: run(wide(), class_weight={0: 3.0, 7: 0.25}),
    "validated_each_second": lambda: run(dense(), validation_freq=2, epochs=5),
    "short_epochs": lambda: run(dense(), steps_per_epoch=9, validation_steps=3),
    "several_steps_at_once": lambda: run(dense(), compiled={"steps_per_execution": 4}),
    "weighted_metrics": lambda: run(dense(), compiled={"weighted_metrics": ["accuracy"]}, metrics=[]),
    # Forms of a model and of data.
    "units_written_as_a_float": lambda: run(dense()),
    "old_cudnn_lstm": lambda: recurrent(kl.LSTM(6)),
    "input_shape_in_the_first_layer": lambda: run(wide()),
    "input_dim_in_the_first_layer": lambda: run(
        sequential(kl.Dense(10, activation="softmax"), shape=(64,)), x=flat_images
    ),
    "no_input_at_all": lambda: run(wide()),
    "whole_to_json": lambda: run(read_back(wide)),
    "to_json_as_text": lambda: run(read_back(cnn), x=cnn_images),
    "functional_to_json": lambda: run(read_back(residual)),
    "to_json_of_wrapped_layers": lambda: run(read_back(wrapped)),
    "offset_data": lambda: run(dense(), x=lambda name: images(name, offset=-0.5)),
    "old_lstm": lambda: recurrent(kl.LSTM(12, dropout=0.1, recurrent_dropout=0.1)),
    "bidirectional_gru": lambda: recurrent(kl.Bidirectional(kl.GRU(6, return_sequences=True)), kl.Flatten()),
    "encoder_decoder": lambda: recurrent(
        kl.LSTM(8), kl.RepeatVector(3), kl.LSTM(8, return_sequences=True),
        kl.TimeDistributed(kl.Dense(4)), kl.Flatten(),
    ),
    "regularized": lambda: run(
        sequential(
            kl.Flatten(),
            kl.Dense(
                24, activation="relu", kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-3),
                kernel_initializer=keras.initializers.HeNormal(), kernel_constraint=keras.constraints.MaxNorm(1.0),
                activity_regularizer=keras.regularizers.L2(1e-4),
            ),
            kl.GaussianNoise(0.1),
            kl.Dense(10, activation="softmax"),
        )
    ),
    "embedding": lambda: run(
        sequential(kl.Embedding(17, 4), kl.GlobalAveragePooling1D(), kl.Dense(10, activation="softmax"), shape=(64,)),
        x=lambda name: digits[name].reshape(-1, 64).astype("int32"),
    ),
}  # fmt: skip


def cnn_images(name):
    return images(name, shape=(8, 8, 1))


def flat_images(name):
    return images(name, shape=(64,))


def train(case, folder):
    os.dup2(2, 1)  # callbacks print, but standard output is for the tests
    os.chdir(folder)
    keras.utils.set_random_seed(7)
    Path("result.json").write_text(json.dumps(CASES[case]()))


def main():
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                train(*line.rstrip("\n").split(" ", 1))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
