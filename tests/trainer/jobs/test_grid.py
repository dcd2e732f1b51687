"""Many jobs, written for old and new versions of Keras, equal plain scripts for Keras 3 to the last bit.

The tests compare the history, the number of epochs, the learning rates, the names of the checkpoints, and the content
of every file, that of `last` included. The script for each job has the same name in plain/grid.py.
"""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import pytest

from fitqueue.datasets import BUILTIN

Json = dict[str, Any]
SCE = "sparse_categorical_crossentropy"


def of(class_name: str, **config: Any) -> Json:
    return {"class_name": class_name, "config": config}


def sequential(*layers: Json, shape: Any = (8, 8)) -> Json:
    return of("Sequential", layers=[of("Input", shape=shape if isinstance(shape, int) else list(shape)), *layers])


def dense(activation: str | None = "softmax") -> Json:
    return sequential(of("Flatten"), of("Dense", units=10, activation=activation))


FLATTEN, SOFTMAX = of("Flatten"), of("Dense", units=10, activation="softmax")
WIDE = sequential(FLATTEN, of("Dense", units=24, activation="relu"), SOFTMAX)
CNN = sequential(
    of("Conv2D", filters=8, kernel_size=[3, 3], activation="relu", padding="same"),
    of("MaxPooling2D", pool_size=[2, 2], strides=2, padding="same"),
    of("BatchNormalization"),
    FLATTEN,
    of("Dropout", rate=0.25),
    SOFTMAX,
    shape=(8, 8, 1),
)
STOP, REDUCE, SAVE = "EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"
AS_IMAGE = {"reshape": [8, 8, 1]}
SCALE = {"scale": 0.0625}


def job(
    model: Any,
    *callbacks: Json,
    optimizer: Any = None,
    loss: Any = SCE,
    metrics: Any = ("accuracy",),
    one_hot: bool = False,
    validated: bool = True,
    x: tuple[Json, ...] = (SCALE,),
    epochs: int = 4,
    batch_size: int = 64,
    shuffle: bool = False,
    compiled: Json | None = None,
    **fit: Any,
) -> Json:
    data = {"dataset": "digits", "x": "x_train", "y": "y_train",
            "prepare": {"x": list(x), "y": [{"one_hot": 10}] if one_hot else []}}  # fmt: skip
    if validated:
        data["validation"] = {"x": "x_test", "y": "y_test"}
    optimizer = of("Adam", learning_rate=0.01) if optimizer is None else optimizer
    return {
        "model": model,
        "compile": {"optimizer": optimizer, "loss": loss, "metrics": list(metrics), **(compiled or {})},
        "data": data,
        "fit": {"epochs": epochs, "batch_size": batch_size, "shuffle": shuffle, **fit},
        "callbacks": list(callbacks),
        "seed": 7,
    }


def recurrent(*layers: Json) -> Json:
    return job(sequential(*layers, SOFTMAX))


FAST = of("Adam", learning_rate=0.1)
THREE = (
    of(STOP, monitor="val_loss", min_delta=0.1, patience=2, verbose=1),
    of(SAVE, filepath="ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.h5", monitor="val_loss", verbose=1,
       save_best_only=True, save_weights_only=True, period=1),
    of(REDUCE, monitor="val_loss", factor=0.1, patience=2, verbose=1),
)  # fmt: skip
LOSSES = (
    "mse", "mean_absolute_error", "mean_squared_logarithmic_error", "mean_absolute_percentage_error", "huber",
    "log_cosh", "kl_divergence", "poisson", "cosine_similarity", "hinge", "squared_hinge", "categorical_hinge",
)  # fmt: skip

JOBS: dict[str, Json] = {
    "no_callback": job(dense()),
    "not_validated": job(dense(), validated=False),
    "validation_split": job(dense(), validated=False, validation_split=0.25),
    "shuffled": job(dense(), shuffle=True),
    "one_batch": job(dense(), batch_size=1437),
    "last_batch_of_one": job(dense(), batch_size=359),
    "stop_at_once": job(dense(), of(STOP, min_delta=1.0), epochs=20),
    "stop_as_documented": job(WIDE, THREE[0], epochs=20),
    "stop_and_restore": job(WIDE, of(STOP, min_delta=0.05, patience=2, restore_best_weights=True), epochs=20),
    "restore_without_stop": job(
        dense(), of(STOP, patience=50, restore_best_weights=True, monitor="val_accuracy"), epochs=4
    ),
    "stop_not_before": job(dense(), of(STOP, min_delta=1.0, start_from_epoch=4), epochs=20),
    "stop_below_baseline": job(dense(), of(STOP, baseline=0.01, patience=3), epochs=20),
    "stop_by_accuracy": job(
        WIDE, of(STOP, monitor="val_accuracy", mode="max", min_delta=0.01, patience=2), epochs=20
    ),
    "stop_by_metric_automatically": job(WIDE, of(STOP, monitor="accuracy", min_delta=0.02, patience=1), epochs=20),
    "stop_by_training_loss": job(
        dense(), of(STOP, monitor="loss", mode="min", min_delta=0.05, patience=1), validated=False, epochs=20
    ),
    "reduce_as_documented": job(
        dense(), of(REDUCE, monitor="val_loss", factor=0.2, patience=1, min_lr=0.001, min_delta=0.1), epochs=8
    ),
    "reduce_by_old_epsilon": job(dense(), of(REDUCE, patience=1, epsilon=0.5), epochs=6),
    "reduce_with_cooldown": job(dense(), of(REDUCE, patience=1, min_delta=1.0, cooldown=2, factor=0.5), epochs=8),
    "reduce_to_a_floor": job(dense(), of(REDUCE, patience=1, min_delta=1.0, factor=0.1, min_lr=0.0005), epochs=6),
    "reduce_by_accuracy": job(
        dense(), of(REDUCE, monitor="accuracy", mode="max", min_delta=0.1, patience=1), epochs=6
    ),
    "reduce_without_validation": job(
        dense(), of(REDUCE, monitor="loss", min_delta=0.3, patience=2), validated=False, epochs=6
    ),
    "reduce_the_rate_watching_itself": job(
        dense(),
        of(REDUCE, patience=1, min_delta=1.0),
        of(REDUCE, monitor="learning_rate", mode="min", patience=2, factor=0.5),
        epochs=6,
    ),
    "save_each_epoch": job(dense(), of(SAVE, filepath="e{epoch:02d}-{loss:.3f}.h5", save_weights_only=True)),
    "save_one_name": job(dense(), of(SAVE, filepath="model.weights.h5", save_weights_only=True)),
    "save_whole_models": job(WIDE, of(SAVE, filepath="e{epoch}.keras")),
    "save_best_as_documented": job(WIDE, THREE[1], optimizer=FAST, epochs=8),
    "save_best_by_accuracy": job(
        WIDE,
        of(SAVE, filepath="b{epoch}-{val_accuracy:.4f}.keras", monitor="val_accuracy", mode="max", save_best_only=True),
        optimizer=FAST,
        epochs=6,
    ),
    "save_old_hdf5": job(dense(), of(SAVE, filepath="weights.{epoch:02d}-{val_loss:.2f}.hdf5")),
    "save_every_second": job(
        dense(), of(SAVE, filepath="p{epoch}.weights.h5", save_weights_only=True, period=2), epochs=5
    ),
    "save_best_of_every_third": job(
        WIDE,
        of(SAVE, filepath="p{epoch}.h5", save_weights_only=True, save_best_only=True, period=3),
        optimizer=FAST,
        epochs=10,
    ),
    "save_by_batches": job(
        dense(), of(SAVE, filepath="b{epoch}-{batch:03d}.weights.h5", save_weights_only=True, save_freq=10), epochs=2
    ),
    "save_below_threshold": job(
        dense(),
        of(SAVE, filepath="t{epoch}.h5", save_weights_only=True, save_best_only=True, initial_value_threshold=0.5),
        epochs=6,
    ),
    "save_with_optimizer": job(
        dense(), of(SAVE, filepath="o{epoch}.weights.h5", save_weights_only=True, include_optimizer=True)
    ),
    "save_whole_with_optimizer": job(dense(), of(SAVE, filepath="o{epoch}.keras", include_optimizer=True)),
    "save_twice": job(
        dense(),
        of(SAVE, filepath="all-{epoch}.weights.h5", save_weights_only=True),
        of(SAVE, filepath="best.keras", monitor="val_accuracy", mode="max", save_best_only=True),
    ),
    "all_three_as_documented": job(
        CNN, *THREE, x=(AS_IMAGE, SCALE), one_hot=True, loss="categorical_crossentropy",
        optimizer=of("Adam", lr=1e-2), epochs=12,
    ),
    "all_three_the_other_way_round": job(
        WIDE,
        of(REDUCE, monitor="val_loss", factor=0.5, patience=1, epsilon=0.05),
        of(SAVE, filepath="{epoch}.hdf5", save_best_only=True, save_weights_only=True),
        of(STOP, monitor="val_loss", min_delta=0.02, patience=3, restore_best_weights=True),
        optimizer=FAST, epochs=20,
    ),
    "terminate_on_nan": job(dense(), of("TerminateOnNaN"), optimizer=of("SGD", lr=1e38), epochs=6),
    "sgd": job(dense(), optimizer="sgd"),
    "sgd_nesterov": job(dense(), optimizer=of("SGD", lr=0.05, momentum=0.9, nesterov=True)),
    "rmsprop": job(dense(), optimizer=of("RMSprop", learning_rate=0.005, rho=0.8, centered=True)),
    "adagrad": job(dense(), optimizer=of("Adagrad", learning_rate=0.1)),
    "adadelta": job(dense(), optimizer="adadelta"),
    "adamax": job(dense(), optimizer=of("Adamax", lr=0.01)),
    "nadam": job(dense(), optimizer=of("Nadam", learning_rate=0.01)),
    "ftrl": job(dense(), optimizer=of("Ftrl", learning_rate=0.1)),
    "lion": job(dense(), optimizer=of("Lion", learning_rate=0.001)),
    "adamw": job(WIDE, optimizer=of("AdamW", learning_rate=0.01, weight_decay=0.05)),
    "adam_amsgrad_by_old_lr": job(dense(), optimizer=of("Adam", lr=0.02, amsgrad=True)),
    "clipped_by_norm": job(dense(), optimizer=of("SGD", learning_rate=0.1, clipnorm=0.01)),
    "clipped_by_value": job(dense(), optimizer=of("SGD", learning_rate=0.1, clipvalue=0.001)),
    "clipped_by_global_norm": job(WIDE, optimizer=of("SGD", learning_rate=0.1, global_clipnorm=0.05)),
    "averaged": job(dense(), optimizer=of("Adam", learning_rate=0.01, use_ema=True, ema_momentum=0.9)),
    "accumulated": job(dense(), optimizer=of("Adam", learning_rate=0.01, gradient_accumulation_steps=3)),
    "exponential_decay": job(
        dense(),
        optimizer=of("Adam", learning_rate=of(
            "ExponentialDecay", initial_learning_rate=0.02, decay_steps=23, decay_rate=0.5, staircase=True)),
    ),
    "cosine_decay": job(
        dense(),
        optimizer=of("SGD", learning_rate=of(
            "CosineDecay", initial_learning_rate=0.0, decay_steps=80, warmup_target=0.1, warmup_steps=10)),
    ),
    "piecewise_decay": job(
        dense(),
        optimizer=of("SGD", learning_rate=of(
            "PiecewiseConstantDecay", boundaries=[23, 46], values=[0.1, 0.05, 0.01])),
    ),
    "label_smoothing": job(dense(), loss=of("CategoricalCrossentropy", label_smoothing=0.1), one_hot=True),
    "from_logits": job(dense(None), loss=of("SparseCategoricalCrossentropy", from_logits=True)),
    "focal": job(dense(), loss=of("CategoricalFocalCrossentropy", gamma=1.5), one_hot=True),
    "binary_crossentropy": job(
        dense("sigmoid"), loss="binary_crossentropy", one_hot=True,
        metrics=["binary_accuracy", of("AUC", num_thresholds=50), of("Precision"), of("Recall")],
    ),
    **{name: job(dense(), loss=name, one_hot=True) for name in LOSSES},
    "metrics_by_old_name": job(dense(), metrics=["acc"]),
    "several_metrics": job(
        dense(), one_hot=True, loss="categorical_crossentropy",
        metrics=["accuracy", of("TopKCategoricalAccuracy", k=3), of("F1Score", average="macro"), "mse"],
    ),
    "old_logcosh": job(dense(), loss="logcosh", one_hot=True),
    "old_kullback_leibler": job(
        dense(), loss="kullback_leibler_divergence", one_hot=True, metrics=[of("CosineProximity", name="near")]
    ),
    "old_decay": job(dense(), optimizer=of("SGD", lr=0.1, decay=0.01)),
    "old_val_acc": job(
        WIDE,
        of(STOP, monitor="val_acc", mode="max", min_delta=0.01, patience=2),
        of(SAVE, filepath="{epoch}-{val_acc:.3f}.h5", monitor="val_acc", save_best_only=True, save_weights_only=True),
        epochs=20,
    ),
    "scheduled_by_epoch": job(
        dense(), of("LearningRateScheduler", schedule={"kind": "step", "epochs": 2, "factor": 0.5})
    ),
    "weighted_by_class": job(WIDE, class_weight={"0": 3.0, "7": 0.25}),
    "validated_each_second": job(dense(), validation_freq=2, epochs=5),
    "short_epochs": job(dense(), steps_per_epoch=9, validation_steps=3),
    "several_steps_at_once": job(dense(), compiled={"steps_per_execution": 4}),
    "weighted_metrics": job(dense(), compiled={"weighted_metrics": ["accuracy"]}, metrics=[]),
    "units_written_as_a_float": job(sequential(FLATTEN, of("Dense", units=10.0, activation="softmax"))),
    "old_cudnn_lstm": recurrent(of("CuDNNLSTM", units=6)),
    "input_shape_in_the_first_layer": job(
        of("Sequential", layers=[of("Flatten", input_shape=[8, 8]), of("Dense", units=24, activation="relu"), SOFTMAX])
    ),
    "input_dim_in_the_first_layer": job(
        of("Sequential", layers=[of("Dense", units=10, activation="softmax", input_dim=64)]),
        x=({"reshape": [-1]}, SCALE),
    ),
    "no_input_at_all": job(of("Sequential", layers=WIDE["config"]["layers"][1:])),
    "offset_data": job(dense(), x=(SCALE, {"offset": -0.5})),
    "old_lstm": recurrent(
        of("LSTM", units=12, dropout=0.1, recurrent_dropout=0.1, implementation=2, time_major=False,
           unit_forget_bias=True)
    ),
    "bidirectional_gru": recurrent(of("Bidirectional", layer=of("GRU", units=6, return_sequences=True)), FLATTEN),
    "encoder_decoder": recurrent(
        of("LSTM", units=8), of("RepeatVector", n=3), of("LSTM", units=8, return_sequences=True),
        of("TimeDistributed", layer=of("Dense", units=4)), FLATTEN,
    ),
    "regularized": job(
        sequential(
            FLATTEN,
            of("Dense", units=24, activation="relu", kernel_regularizer=of("L1L2", l1=1e-4, l2=1e-3),
               kernel_initializer="he_normal", kernel_constraint=of("MaxNorm", max_value=1.0),
               activity_regularizer=of("L2", l2=1e-4)),
            of("GaussianNoise", stddev=0.1),
            SOFTMAX,
        )
    ),
    "embedding": job(
        sequential(of("Embedding", input_dim=17, output_dim=4), of("GlobalAveragePooling1D"), SOFTMAX, shape=64),
        x=({"reshape": [64]}, {"astype": "int32"}),
    ),
    # With the model that the script's own `to_json()` returns.
    "whole_to_json": job(json.loads),
    "to_json_as_text": job(str, x=(AS_IMAGE, SCALE)),
    "functional_to_json": job(json.loads),
    "to_json_of_wrapped_layers": job(json.loads),
}  # fmt: skip


class PlainKeras:
    """The process of plain/grid.py. It is started once, because importing Keras takes longer than all trainings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "stderr").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "plain" / "grid.py"), str(BUILTIN["digits"].path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def train(self, case: str) -> tuple[Path, Any]:
        """Train a case; return the folder with its files, and its result."""
        folder = self._folder / case
        folder.mkdir()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case} {folder}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "0\n", (self._folder / "stderr").read_text()[-3000:]
        return folder, json.loads((folder / "result.json").read_text())

    def close(self) -> None:
        self._process.communicate()
        self._errors.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainKeras]:
    process = PlainKeras(tmp_path_factory.mktemp("plain"))
    yield process
    process.close()


@pytest.mark.parametrize("case", JOBS)
def test_the_job_equals_the_script(
    case: str, plain: PlainKeras, make_spec: Callable[..., Json], train: Callable[..., Any]
) -> None:
    folder, expected = plain.train(case)
    model = JOBS[case]["model"]
    trained = train(make_spec(**JOBS[case] | {"model": model(expected["model"]) if callable(model) else model}))
    assert trained.epochs, trained.events
    assert repr(trained.history) == repr(expected["history"])  # as text, NaN equals NaN
    assert [epoch.learning_rate for epoch in trained.epochs] == expected["rates"]
    saved = {path.name for path in folder.iterdir()} - {"result.json", "final.weights.h5"}
    names = {name for written in trained.checkpoints for name in written.names} - {"best", "last"}
    assert names == saved
    for name in saved:
        with_optimizer = any(callback["config"].get("include_optimizer") for callback in JOBS[case]["callbacks"])
        assert_same_content(trained.path_of(name), folder / name, with_optimizer)
    assert_same_content(trained.path_of("last"), folder / "final.weights.h5", with_optimizer=False)


def assert_same_content(path: Path, expected: Path, with_optimizer: bool) -> None:
    """Compare the names and bits of all arrays; those of the optimizer only if the job saves it."""
    if expected.suffix == ".keras":
        assert model_of(path, with_optimizer) == model_of(expected, with_optimizer)
    else:
        assert arrays_of(path, with_optimizer) == arrays_of(expected, with_optimizer)


def model_of(path: Path, with_optimizer: bool) -> tuple[Any, Any]:
    """Return the config and the arrays of a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"), object_hook=_without_object_ids)
        arrays = arrays_of(BytesIO(archive.read("model.weights.h5")), with_optimizer)
    if not with_optimizer:
        config.pop("compile_config", None)
    return config, arrays


def _without_object_ids(config: Json) -> Json:
    """Return a config without addresses in memory."""
    return {key: value for key, value in config.items() if key != "shared_object_id"}


def arrays_of(file: Path | BinaryIO, with_optimizer: bool) -> dict[str, tuple[Any, ...]]:
    """Return the shape, dtype and bytes of each array that Keras has written into an HDF5 file, by name."""
    arrays: dict[str, tuple[Any, ...]] = {}

    def add(name: str, node: Any) -> None:
        is_keras_own = not name.startswith("states/") and (with_optimizer or not name.startswith("optimizer/"))
        if isinstance(node, h5py.Dataset) and is_keras_own:
            arrays[name] = (node.shape, str(node.dtype), node[()].tobytes())

    with h5py.File(file) as root:
        root.visititems(add)
    assert arrays
    return arrays
