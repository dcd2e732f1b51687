"""Models and compilations, described and built again as the service builds them, equal those of the script."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.fit.spec import PLACEHOLDER, Described, FitCall, JobOptions, describe
from fitqueue.spec import JobSpec, parse_job
from tests.trainer import test_layers, whole_models
from workers.keras_tools.models import build_model

Json = dict[str, Any]


def described(model: Any, x: Any, y: Any, **arguments: Any) -> Described:
    return describe(model, x, y, None, None, FitCall(**arguments), JobOptions(seed=1))


def stored(job: Described) -> JobSpec:
    """Return the job as it comes back from the database."""
    arrays = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in job.arrays.items()}
    sent = json.loads(json.dumps(job.spec, allow_nan=False))
    return JobSpec.model_validate_json(
        parse_job(sent, lambda _: DatasetInfo(PLACEHOLDER, arrays)).spec.model_dump_json()
    )


def zeros(tensors: Any) -> Any:
    arrays = [np.zeros((8, *(length or 5 for length in tensor.shape[1:])), "float32") for tensor in tensors]
    return arrays if len(arrays) > 1 else arrays[0]


def shapes(model: Any) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in model.weights]


def assert_built_again(model: Any) -> JobSpec:
    model.compile("sgd", "mse")
    spec = stored(described(model, zeros(model.inputs), zeros(model.outputs)))
    assert shapes(build_model(spec.model)) == shapes(model)
    return spec


@pytest.mark.parametrize("class_name", test_layers.SINGLE)
def test_each_layer(class_name: str) -> None:
    _, shape, make_layer = test_layers.SINGLE[class_name]
    assert_built_again(keras.Sequential([keras.Input(shape), make_layer()]))


def old_layer(class_name: str) -> Any:
    config, shape, _ = test_layers.SINGLE[class_name]
    cls = getattr(tf_keras.layers, class_name)
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return tf_keras.Sequential([tf_keras.Input(shape), cls.from_config(arguments)])


def layers_of_keras_2() -> list[str]:
    found = []
    for class_name in test_layers.SINGLE:
        try:
            old_layer(class_name)
        except (AttributeError, TypeError, ValueError):
            continue  # Keras 2 has no such layer, or no such argument
        found.append(class_name)
    return found


OLD_LAYERS = layers_of_keras_2()


def test_most_layers_are_tried_in_keras_2() -> None:
    assert len(OLD_LAYERS) > 60


@pytest.mark.parametrize("class_name", OLD_LAYERS)
def test_each_layer_of_keras_2(class_name: str) -> None:
    model = old_layer(class_name)
    model.compile("sgd", "mse")
    spec = stored(described(model, zeros(model.inputs), zeros(model.outputs)))
    trained = {tuple(variable.shape) for variable in model.trainable_weights}
    assert trained == {tuple(variable.shape) for variable in build_model(spec.model).trainable_weights}


WHOLE = [
    make
    for name, make in vars(whole_models).items()
    if inspect.isfunction(make) and make.__module__ == whole_models.__name__ and not inspect.signature(make).parameters
]


@pytest.mark.parametrize("make", WHOLE, ids=lambda make: make.__name__)
def test_whole_models(make: Callable[[], Any]) -> None:
    assert_built_again(make())


def test_models_that_were_cloned_or_loaded(tmp_path: Path) -> None:
    model = whole_models.encoder_decoder()
    model.save(tmp_path / "model.keras")
    assert_built_again(keras.models.clone_model(model))
    assert_built_again(keras.models.load_model(tmp_path / "model.keras"))


# --- Unbuilt models ------------------------------------------------------------------------------------------------

X = np.arange(32.0).reshape(8, 4) / 32
Y = X[:, :1]


@pytest.mark.parametrize("framework", [keras, tf_keras])
@pytest.mark.parametrize("x", [X, X.tolist(), [X], X.astype("float16")], ids=["array", "lists", "in a list", "float16"])
def test_an_unbuilt_model_is_built_from_the_data(framework: ModuleType, x: Any) -> None:
    model = framework.Sequential([framework.layers.Dense(3), framework.layers.Dense(1)])
    model.compile("sgd", "mse")
    spec = stored(described(model, x, Y))
    assert shapes(build_model(spec.model)) == [(4, 3), (3,), (3, 1), (1,)] == shapes(model)


# --- Inputs and outputs --------------------------------------------------------------------------------------------


def two(structure: str, framework: ModuleType = keras) -> Any:
    a, b = framework.Input((4,), name="a"), framework.Input((3,), name="b")
    d, e = framework.layers.Dense(1, name="d")(a), framework.layers.Dense(2, name="e")(b)
    if structure == "dicts":
        return framework.Model({"b": b, "a": a}, {"q": e, "p": d})
    return framework.Model([a, b], [d, e])


A, B, D, E = (np.full((8, width), float(number)) for number, width in enumerate((4, 3, 1, 2)))


@pytest.mark.parametrize("framework", [keras, tf_keras])
@pytest.mark.parametrize("x", [[A, B], (A, B), {"a": A, "b": B}])
@pytest.mark.parametrize("y", [[D, E], {"d": D, "e": E}])
def test_two_inputs_and_outputs(framework: ModuleType, x: Any, y: Any) -> None:
    model = two("lists", framework)
    model.compile("sgd", {"d": "mse", "e": "mae"}, metrics={"e": ["mae"]}, loss_weights={"d": 1.0, "e": 0.5})
    job = described(model, x, y)
    assert job.spec["data"]["x"] == {"a": "x.a", "b": "x.b"}
    assert job.spec["data"]["y"] == {"d": "y.d", "e": "y.e"}
    for name, array in {"x.a": A, "x.b": B, "y.d": D, "y.e": E}.items():
        np.testing.assert_array_equal(job.arrays[name], array)
    assert stored(job).compile.loss_weights == {"d": 1.0, "e": 0.5}


def test_keys_that_the_model_was_made_with() -> None:
    model = two("dicts")
    model.compile("sgd", {"p": "mse", "q": "mae"})
    job = described(model, {"a": A, "b": B}, {"p": D, "q": E})
    assert job.spec["data"]["y"] == {"p": "y.p", "q": "y.q"}
    assert shapes(build_model(stored(job).model)) == shapes(model)


def test_weights_of_the_samples_for_all_outputs_or_for_each() -> None:
    model = two("lists")
    model.compile("sgd", "mse")
    for weights, expected in ((np.ones(8), "sample_weight"), ({"e": np.ones(8)}, {"e": "sample_weight.e"})):
        job = describe(model, [A, B], [D, E], weights, None, FitCall(), JobOptions(seed=1))
        assert job.spec["data"]["sample_weight"] == expected
        stored(job)


def test_two_outputs_of_one_layer() -> None:
    inputs = keras.Input((5, 2))
    sequence, state = keras.layers.GRU(3, return_sequences=True, return_state=True, name="g")(inputs)
    model = keras.Model(inputs, [sequence, state])
    model.compile("sgd", "mse")
    with pytest.raises(InvalidSpec) as caught:
        described(model, np.zeros((8, 5, 2)), [np.zeros((8, 5, 3)), np.zeros((8, 3))])
    assert [fault.message for fault in caught.value.errors] == [
        "y: Several outputs have the name 'g'. Put a layer of its own behind each of them, such as "
        "keras.layers.Identity(name=…)."
    ]


# --- Compilation ---------------------------------------------------------------------------------------------------

SCHEDULES = keras.optimizers.schedules
OPTIMIZERS: list[Callable[[], Any]] = [
    lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01, clipnorm=1.0),
    lambda: keras.optimizers.Adam(3e-4, beta_1=0.8, epsilon=1e-5, amsgrad=True, global_clipnorm=2.0),
    lambda: keras.optimizers.AdamW(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    lambda: keras.optimizers.RMSprop(SCHEDULES.ExponentialDecay(0.1, 10, 0.9, staircase=True)),
    lambda: keras.optimizers.Adam(SCHEDULES.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=5)),
    lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1), initial_scale=8.0),
    lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
    *(
        (lambda cls=cls: cls())
        for cls in (
            keras.optimizers.Adadelta, keras.optimizers.Adafactor, keras.optimizers.Adagrad, keras.optimizers.Adamax,
            keras.optimizers.Ftrl, keras.optimizers.Lamb, keras.optimizers.Lion, keras.optimizers.Muon,
            keras.optimizers.Nadam,
        )
    ),
]  # fmt: skip


def dense(framework: ModuleType = keras) -> Any:
    return framework.Sequential([framework.Input((4,)), framework.layers.Dense(1, name="d")])


@pytest.mark.parametrize("index", range(len(OPTIMIZERS)))
def test_optimizers_have_their_config(index: int) -> None:
    optimizer = OPTIMIZERS[index]()
    model = dense()
    model.compile(optimizer, "mse")
    sent = stored(described(model, X, Y)).compile.optimizer
    again = getattr(keras.optimizers, sent.class_name).from_config(
        json.loads(json.dumps(described(model, X, Y).spec["compile"]["optimizer"]["config"]))
    )
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("framework", [keras, tf_keras])
@pytest.mark.parametrize("rate", [0.001, 3e-4, 0.1, 1e-7, 1 / 3])
def test_the_shortest_decimal_of_a_rate(framework: ModuleType, rate: float) -> None:
    model = dense(framework)
    model.compile(framework.optimizers.SGD(rate), "mse")
    sent = described(model, X, Y).spec["compile"]["optimizer"]["config"]["learning_rate"]
    assert np.float32(sent) == np.float32(rate)
    assert len(str(sent)) <= len(str(np.float64(np.float32(rate))))
    assert sent == rate or rate == 1 / 3


@pytest.mark.parametrize("framework", [keras, tf_keras])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [("mse", "mse"), (lambda framework: framework.losses.mean_squared_error, "mean_squared_error"),
     (lambda framework: framework.losses.Huber(0.5), "Huber")],
)  # fmt: skip
def test_losses_and_metrics(framework: ModuleType, loss: Any, expected: str) -> None:
    model = dense(framework)
    value = loss(framework) if callable(loss) else loss
    metrics = ["mae", framework.metrics.mean_absolute_error, framework.metrics.RootMeanSquaredError(name="r")]
    model.compile("sgd", value, metrics=metrics, weighted_metrics=["mse"])
    compiled = described(model, X, Y).spec["compile"]
    assert (compiled["loss"]["class_name"] if isinstance(compiled["loss"], dict) else compiled["loss"]) == expected
    assert compiled["metrics"][:2] == ["mae", "mean_absolute_error"]
    assert compiled["metrics"][2]["config"]["name"] == "r"
    assert compiled["weighted_metrics"] == ["mse"]


def test_losses_and_metrics_of_several_outputs() -> None:
    for loss, metrics in (
        (["mse", None], None), (["mse", "mae"], [["mae"], None]), ({"d": "mse", "e": None}, {"d": "mae"}),
        ("mse", [None, ["mae", "mse"]]),
    ):  # fmt: skip
        model = two("lists")
        model.compile("sgd", loss, metrics=metrics)
        stored(described(model, [A, B], [D, E]))


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
def test_dtype_policies(policy: str) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, dtype=policy)])
    model.compile("adam", "mse")
    spec = stored(described(model, X, Y))
    assert build_model(spec.model).layers[0].dtype_policy.name == policy


def test_a_layer_that_was_adapted_keeps_its_state() -> None:
    layer = keras.layers.Normalization()
    layer.adapt(X)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    spec = assert_built_again(model)
    built = build_model(spec.model)
    assert [variable.path.rpartition("/")[2] for variable in built.weights[:3]] == ["mean", "variance", "count"]
