"""Optimizers, losses, metrics and callbacks built from a job equal those of a plain script."""

from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec import JobSpec, KerasObject, direction, parse_job
from fitqueue.spec.keras_objects import catalogue
from workers.keras_tools.callbacks import build_callback, callback_arguments
from workers.keras_tools.compiling import build_loss, build_metrics, build_optimizer, compile_model
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model
from workers.keras_tools.objects import make_object

# Arguments for which Keras has no default.
REQUIRED: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 3, "target_class_ids": [0]},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0]},
    "MeanIoU": {"num_classes": 3},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}
CLASSES = 3


def job(**fields: Any) -> JobSpec:
    """Return a job with three columns of targets and with these fields replaced, as it comes from the database."""
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
    spec = parse_job(raw | fields, lambda name: DatasetInfo(name, arrays)).spec
    return JobSpec.model_validate_json(spec.model_dump_json())


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return samples and one-hot targets."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 4)).astype("float32"), np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, 8)]


# LossScaleOptimizer, which wraps another one, has a test of its own.
OPTIMIZERS = [name for name in catalogue.kind("optimizers").classes if name != "LossScaleOptimizer"]


def test_an_optimizer_that_wraps_another() -> None:
    serialized = keras.optimizers.serialize(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.5, clipnorm=1.0))
    )
    spec = job(compile={"optimizer": serialized, "loss": "mse"})
    assert keras.optimizers.serialize(build_optimizer(spec.compile.optimizer)) == serialized


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_equals_that_of_a_script(name: str) -> None:
    spec = job(compile={"optimizer": {"class_name": name}, "loss": "mse"})
    keras.backend.clear_session()  # Keras counts names from the start, as in a fresh process
    expected = getattr(keras.optimizers, name)()
    assert build_optimizer(spec.compile.optimizer).get_config() == expected.get_config()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_argument_of_an_optimizer_is_used(name: str) -> None:
    serialized = keras.optimizers.serialize(getattr(keras.optimizers, name)(clipnorm=1.0, learning_rate=0.5))
    spec = job(compile={"optimizer": serialized, "loss": "mse"})
    assert build_optimizer(spec.compile.optimizer).get_config() == serialized["config"]


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
def test_a_schedule_equals_that_of_a_script(schedule: Any) -> None:
    serialized = keras.optimizers.serialize(keras.optimizers.SGD(schedule))
    spec = job(compile={"optimizer": serialized, "loss": "mse"})
    optimizer = build_optimizer(spec.compile.optimizer)
    assert [float(optimizer._learning_rate(step)) for step in range(30)] == [
        float(schedule(step)) for step in range(30)
    ]


@pytest.mark.parametrize("name", catalogue.kind("losses").classes)
def test_a_loss_equals_that_of_a_script(name: str) -> None:
    spec = job(compile={"optimizer": "sgd", "loss": {"class_name": name}})
    expected = getattr(keras.losses, name)()
    assert build_loss(spec.compile.loss).get_config() == expected.get_config()
    serialized = keras.losses.serialize(expected)
    spec = job(compile={"optimizer": "sgd", "loss": serialized})
    assert build_loss(spec.compile.loss).get_config() == serialized["config"]


@pytest.mark.parametrize("name", catalogue.kind("metrics").classes)
def test_a_metric_equals_that_of_a_script(name: str) -> None:
    expected = getattr(keras.metrics, name)(**REQUIRED.get(name, {}))
    spec = job(compile={"optimizer": "sgd", "loss": "mse", "metrics": [keras.metrics.serialize(expected)]})
    (metric,) = build_metrics(spec.compile.metrics)
    assert metric.get_config() == expected.get_config()
    assert direction(metric.name, spec.compile.metrics) == getattr(expected, "_direction", None)


# --- What is logged ------------------------------------------------------------------------------------------------


def logged_names(spec: JobSpec) -> set[str]:
    """Return the names that a training of this job logs."""
    x, y = data()
    model = build_model(spec.model)
    compile_model(model, spec.compile)
    callbacks = [build_callback(callback) for callback in spec.callbacks]
    split = spec.fit.validation_split
    return set(model.fit(x, y, validation_split=split, callbacks=callbacks, verbose=0).history)


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
def test_names_in_the_logs_are_as_predicted(metrics: list[Any], split: float) -> None:
    keras.backend.clear_session()  # Keras counts names from the start, as in a fresh process
    spec = job(
        compile={"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": metrics},
        fit={"validation_split": split, "verbose": 0},
    )
    assert logged_names(spec) == set(spec.logged_names)


def test_names_are_those_of_a_plain_script() -> None:
    keras.backend.clear_session()
    x, y = data()
    model = keras.Sequential([keras.layers.Dense(CLASSES, activation="softmax")])
    metrics = [getattr(keras.metrics, metric["class_name"])(**metric.get("config", {})) for metric in OBJECTS]
    model.compile("sgd", "mse", metrics=metrics)
    expected = set(model.fit(x, y, verbose=0).history)
    spec = job(compile={"optimizer": "sgd", "loss": "mse", "metrics": OBJECTS})
    assert expected == set(spec.logged_names)
    assert logged_names(spec) == expected  # this process is no longer a fresh one


def number_arguments() -> list[tuple[str, str, str]]:
    """Return (kind, class, argument) for each argument that is a number, if the other arguments have defaults."""
    return [
        (kind, name, argument)
        for kind in ("optimizers", "losses", "metrics", "regularizers")
        for name, entry in catalogue.kind(kind).classes.items()
        for argument, schema in entry.properties.items()
        if name != "LossScaleOptimizer"
        and any(option.get("type") == "number" for option in schema.get("anyOf", [schema]))
    ]


@pytest.mark.parametrize(("kind", "name", "argument"), number_arguments())
def test_a_float_may_be_written_as_an_integer(kind: str, name: str, argument: str) -> None:
    """JavaScript writes 1.0 as 1. Keras must accept both or neither."""
    for number in (0, 1, 2):
        as_integer, as_float = (
            can_be_created(kind, name, {**REQUIRED.get(name, {}), argument: value}) for value in (number, float(number))
        )
        assert as_integer == as_float


def can_be_created(kind: str, class_name: str, config: dict[str, Any]) -> bool:
    try:
        make_object(kind, KerasObject(class_name=class_name, config=config), "")
    except ModelBuildError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(catalogue.kind("metrics").names))
def test_a_metric_by_name_is_logged_under_that_name(name: str) -> None:
    metrics = keras.src.trainers.compile_utils.CompileMetrics([name], None)
    _, y = data()
    metrics.build(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(y))
    assert [metric.name for metric in metrics.metrics] == [name]
    expected = getattr(metrics.metrics[0], "_direction", None)
    assert direction(f"val_{name}", [name]) == expected


def test_the_learning_rate_is_logged_by_reduce_lr_on_plateau() -> None:
    callbacks = [{"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss"}}]
    spec = job(callbacks=callbacks)
    assert logged_names(spec) == set(spec.logged_names) == {"loss", "learning_rate"}


# --- Callbacks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau", "TerminateOnNaN"])
def test_a_callback_equals_that_of_a_script(name: str) -> None:
    config = {} if name == "TerminateOnNaN" else {"monitor": "loss"}
    (callback,) = job(callbacks=[{"class_name": name, "config": config}]).callbacks
    assert vars(build_callback(callback)) == vars(getattr(keras.callbacks, name)(**config))


def test_a_model_checkpoint_gets_the_arguments_that_keras_has() -> None:
    config = {"filepath": "ep{epoch:03d}.hdf5", "save_weights_only": True, "period": 2, "include_optimizer": True}
    (callback,) = job(callbacks=[{"class_name": "ModelCheckpoint", "config": config}]).callbacks
    arguments = callback_arguments(callback)
    assert arguments["filepath"] == "ep{epoch:03d}.weights.h5"
    assert vars(keras.callbacks.ModelCheckpoint(**arguments)) == vars(
        keras.callbacks.ModelCheckpoint("ep{epoch:03d}.weights.h5", save_weights_only=True)
    )


def test_the_message_names_what_cannot_be_compiled() -> None:
    spec = job(
        compile={"optimizer": {"class_name": "AdamW", "config": {"use_ema": True, "ema_momentum": 0.5}}, "loss": "mse"}
    )
    optimizer = KerasObject(class_name="SGD", config={"learning_rate": 0.1, "clipnorm": 1.0, "clipvalue": 1.0})
    with pytest.raises(ModelBuildError, match="clip") as raised:
        compile_model(build_model(spec.model), spec.compile.model_copy(update={"optimizer": optimizer}))
    assert raised.value.pointer == "/compile/optimizer"
