"""Optimizers, losses, metrics and callbacks built from a job against Keras's own."""

from typing import Any

import keras
import numpy as np
import pytest
from workers.keras_tools.build import (
    ModelBuildError,
    build_callback,
    build_loss,
    build_metrics,
    build_model,
    build_optimizer,
    callback_arguments,
    compile_model,
)

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec import JobSpec, KerasObject, direction, parse_job
from fitqueue.spec.keras_objects import catalogue
from workers.keras_tools.objects import make_object

# What Keras asks for and gives no default.
NEEDED: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 3, "target_class_ids": [0]},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0]},
    "MeanIoU": {"num_classes": 3},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}
CLASSES = len({"three", "target", "columns"})


def job(**parts: Any) -> JobSpec:
    """A job of three columns of targets, as the service would store it."""
    arrays = {"x": ArrayInfo((8, 4), "float32"), "y": ArrayInfo((8, CLASSES), "float32")}
    raw = {
        "model": {
            "class_name": "Sequential",
            "config": {"layers": [{"class_name": "Dense", "config": {"units": CLASSES, "activation": "softmax"}}]},
        },
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "fit": {"verbose": 0},
        "seed": 1,
    }
    spec = parse_job(raw | parts, lambda name: DatasetInfo(name, arrays)).spec
    return JobSpec.model_validate_json(spec.model_dump_json())


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 4)).astype("float32"), np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, 8)]


# The one that wraps another has a test of its own.
OPTIMIZERS = [name for name in catalogue.kind("optimizers").classes if name != "LossScaleOptimizer"]


def test_an_optimizer_in_another_is_built_with_it() -> None:
    written = keras.optimizers.serialize(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.5, clipnorm=1.0)))
    spec = job(compile={"optimizer": written, "loss": "mse"})
    assert keras.optimizers.serialize(build_optimizer(spec.compile.optimizer)) == written


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_what_keras_makes(name: str) -> None:
    spec = job(compile={"optimizer": {"class_name": name}, "loss": "mse"})
    keras.backend.clear_session()  # a fresh process, so that Keras counts its names from the start
    theirs = getattr(keras.optimizers, name)()
    assert build_optimizer(spec.compile.optimizer).get_config() == theirs.get_config()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_config_of_an_optimizer_is_taken_whole(name: str) -> None:
    written = keras.optimizers.serialize(getattr(keras.optimizers, name)(clipnorm=1.0, learning_rate=0.5))
    spec = job(compile={"optimizer": written, "loss": "mse"})
    assert build_optimizer(spec.compile.optimizer).get_config() == written["config"]


@pytest.mark.parametrize(
    "schedule",
    [
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9),
        keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001]),
        keras.optimizers.schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=3),
        keras.optimizers.schedules.CosineDecayRestarts(0.1, 10),
        keras.optimizers.schedules.InverseTimeDecay(0.1, 10, 0.5),
        keras.optimizers.schedules.PolynomialDecay(0.1, 10),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_schedules(schedule: Any) -> None:
    written = keras.optimizers.serialize(keras.optimizers.SGD(schedule))
    spec = job(compile={"optimizer": written, "loss": "mse"})
    ours = build_optimizer(spec.compile.optimizer)
    assert [float(ours._learning_rate(step)) for step in range(30)] == [float(schedule(step)) for step in range(30)]


@pytest.mark.parametrize("name", catalogue.kind("losses").classes)
def test_a_loss_is_what_keras_makes(name: str) -> None:
    spec = job(compile={"optimizer": "sgd", "loss": {"class_name": name}})
    theirs = getattr(keras.losses, name)()
    assert build_loss(spec.compile.loss).get_config() == theirs.get_config()
    written = keras.losses.serialize(theirs)
    assert build_loss(job(compile={"optimizer": "sgd", "loss": written}).compile.loss).get_config() == written["config"]


@pytest.mark.parametrize("name", catalogue.kind("metrics").classes)
def test_a_metric_is_what_keras_makes(name: str) -> None:
    theirs = getattr(keras.metrics, name)(**NEEDED.get(name, {}))
    spec = job(compile={"optimizer": "sgd", "loss": "mse", "metrics": [keras.metrics.serialize(theirs)]})
    (ours,) = build_metrics(spec.compile.metrics)
    assert ours.get_config() == theirs.get_config()
    assert direction(ours.name, spec.compile.metrics) == getattr(theirs, "_direction", None)


# --- What is logged ------------------------------------------------------------------------------------------------


def history(spec: JobSpec) -> set[str]:
    x, y = data()
    model = build_model(spec.model)
    compile_model(model, spec.compile)
    callbacks = [build_callback(callback) for callback in spec.callbacks]
    split = spec.fit.validation_split
    fitted = model.fit(x, y, validation_split=split, callbacks=callbacks, verbose=0)
    return set(fitted.history)


STRINGS = ["accuracy", "acc", "mse", "MAE", "AUC", "auc", "CategoricalAccuracy", "categorical_accuracy", "Precision"]
OBJECTS = [
    {"class_name": "Precision"},
    {"class_name": "Precision"},
    {"class_name": "MeanIoU", "config": {"num_classes": 3}},
    {"class_name": "Recall", "config": {"name": "found"}},
    {"class_name": "CategoricalAccuracy"},
    {"class_name": "CategoricalAccuracy"},
    {"class_name": "AUC"},
]


@pytest.mark.parametrize(
    "metrics",
    [[], ["accuracy"], STRINGS, OBJECTS, ["accuracy", "accuracy", "accuracy"], ["loss_", *STRINGS][1:] + OBJECTS],
)
@pytest.mark.parametrize("split", [0.0, 0.25])
def test_names_in_the_logs_are_as_foreseen(metrics: list[Any], split: float) -> None:
    keras.backend.clear_session()  # a fresh process, so that Keras counts its names from the start
    spec = job(
        compile={"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": metrics},
        fit={"validation_split": split, "verbose": 0},
    )
    assert history(spec) == set(spec.logged_names)


def test_names_are_those_of_a_plain_script() -> None:
    keras.backend.clear_session()
    x, y = data()
    model = keras.Sequential([keras.layers.Dense(CLASSES, activation="softmax")])
    script = [getattr(keras.metrics, one["class_name"])(**one.get("config", {})) for one in OBJECTS]
    model.compile("sgd", "mse", metrics=script)
    theirs = set(model.fit(x, y, verbose=0).history)
    spec = job(compile={"optimizer": "sgd", "loss": "mse", "metrics": OBJECTS})
    assert theirs == set(spec.logged_names)
    assert history(spec) == theirs  # and again, in a process that is not fresh any more


def number_arguments() -> list[tuple[str, str, str]]:
    """Arguments that are numbers, of kinds whose classes are made with defaults for the rest."""
    return [
        (kind, name, argument)
        for kind in ("optimizers", "losses", "metrics", "regularizers")
        for name, entry in catalogue.kind(kind).classes.items()
        for argument, schema in entry.properties.items()
        if name != "LossScaleOptimizer" and any(one.get("type") == "number" for one in schema.get("anyOf", [schema]))
    ]


@pytest.mark.parametrize(("kind", "name", "argument"), number_arguments())
def test_a_number_may_be_written_without_its_point(kind: str, name: str, argument: str) -> None:
    """JavaScript writes 1.0 as 1. What Keras makes of the one, it makes of the other."""
    for number in (0, 1, 2):
        answers = [made_with(kind, name, {**NEEDED.get(name, {}), argument: one}) for one in (number, float(number))]
        assert answers[0] == answers[1]


def made_with(kind: str, class_name: str, config: dict[str, Any]) -> bool:
    try:
        make_object(kind, KerasObject(class_name=class_name, config=config), "")
    except ModelBuildError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(catalogue.kind("metrics").names))
def test_a_name_is_logged_as_it_is_written(name: str) -> None:
    metrics = keras.src.trainers.compile_utils.CompileMetrics([name], None)
    _, y = data()
    metrics.build(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(y))
    assert [metric.name for metric in metrics.metrics] == [name]
    expected = getattr(metrics.metrics[0], "_direction", None)
    assert direction(f"val_{name}", [name]) == expected


def test_the_learning_rate_is_logged_by_reduce_lr_on_plateau() -> None:
    callbacks = [{"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss"}}]
    spec = job(callbacks=callbacks)
    assert history(spec) == set(spec.logged_names) == {"loss", "learning_rate"}


# --- Callbacks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau", "TerminateOnNaN"])
def test_a_callback_is_what_keras_makes(name: str) -> None:
    config = {} if name == "TerminateOnNaN" else {"monitor": "loss"}
    (callback,) = job(callbacks=[{"class_name": name, "config": config}]).callbacks
    assert vars(build_callback(callback)) == vars(getattr(keras.callbacks, name)(**config))


def test_arguments_of_a_checkpoint_are_those_that_keras_has() -> None:
    config = {"filepath": "ep{epoch:03d}.hdf5", "save_weights_only": True, "period": 2, "include_optimizer": True}
    (callback,) = job(callbacks=[{"class_name": "ModelCheckpoint", "config": config}]).callbacks
    arguments = callback_arguments(callback)
    assert arguments["filepath"] == "ep{epoch:03d}.weights.h5"
    assert vars(keras.callbacks.ModelCheckpoint(**arguments)) == vars(
        keras.callbacks.ModelCheckpoint("ep{epoch:03d}.weights.h5", save_weights_only=True)
    )


def test_what_cannot_be_compiled_is_named() -> None:
    spec = job(
        compile={"optimizer": {"class_name": "AdamW", "config": {"use_ema": True, "ema_momentum": 0.5}}, "loss": "mse"}
    )
    broken = KerasObject(class_name="SGD", config={"learning_rate": 0.1, "clipnorm": 1.0, "clipvalue": 1.0})
    with pytest.raises(ModelBuildError, match="clip") as caught:
        compile_model(build_model(spec.model), spec.compile.model_copy(update={"optimizer": broken}))
    assert caught.value.pointer == "/compile/optimizer"
