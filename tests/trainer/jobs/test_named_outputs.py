"""Several inputs and outputs by name, sample weights, and arguments of `fit`, compared with plain Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec import read_job
from fitqueue.states import Reason

SAMPLES = 50


def _model() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    both = keras.layers.Concatenate(name="both")([left, right])
    kind = keras.layers.Dense(5, activation="softmax", kernel_initializer="ones", name="kind")(both)
    size = keras.layers.Dense(1, kernel_initializer="ones", name="size")(both)
    return keras.Model([left, right], [kind, size])


JOB: dict[str, Any] = {
    "compile": {
        "optimizer": "sgd",
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        "metrics": {"kind": ["accuracy"]},
        "weighted_metrics": {"size": ["mae"]},
        "loss_weights": {"kind": 1.0, "size": 0.25},
    },
    "data": {
        "dataset": "mine",
        "x": {"left": "a", "right": "b"},
        "y": {"kind": "c", "size": "d"},
        "sample_weight": {"kind": "w", "size": "w"},
        "prepare": {"x": {"right": [{"scale": 0.5}]}},
    },
    "fit": {"epochs": 3, "batch_size": 16, "shuffle": False, "validation_split": 0.2},
}


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[str, dict[str, Any], Callable[[str], DatasetInfo]]:
    """Return the path of a data set, its arrays, and a function that finds it for the parser."""
    random = np.random.default_rng(5)
    arrays = {
        "a": random.random((SAMPLES, 4), dtype="float32"),
        "b": random.random((SAMPLES, 3), dtype="float32"),
        "c": random.integers(0, 5, SAMPLES),
        "d": random.random((SAMPLES, 1), dtype="float32"),
        "w": random.random(SAMPLES),
    }
    np.savez(tmp_path / "data.npz", **arrays)
    infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in arrays.items()}
    return str(tmp_path / "data.npz"), arrays, lambda name: DatasetInfo(name, infos)


def test_inputs_and_outputs_by_name(make_spec: Callable[..., Any], train: Callable[..., Any], dataset: Any) -> None:
    path, arrays, find = dataset
    spec = make_spec(find, model=_model().to_json(), **JOB)
    on_one, on_two = (train(spec, dataset_path=path, cpu_devices=devices) for devices in (1, 2))
    assert on_one.outcome.reason is on_two.outcome.reason is Reason.COMPLETED, (on_one.lines, on_two.lines)
    model = _model()
    model.compile(**JOB["compile"])
    keras.utils.set_random_seed(7)
    expected = model.fit(
        {"left": arrays["a"], "right": arrays["b"] * np.float32(0.5)},
        [arrays["c"], arrays["d"]],
        sample_weight=[arrays["w"], arrays["w"]],
        verbose=0,
        **JOB["fit"],
    ).history
    assert set(on_one.history) == set(expected) == set(read_job(spec).logged_names)
    for name, values in expected.items():
        assert on_one.history[name] == pytest.approx(values, rel=1e-6), name
        assert on_two.history[name] == pytest.approx(values, rel=1e-5), name


# The same, as lists in the order of the model.
BY_ORDER: dict[str, Any] = {
    "compile": {
        "optimizer": "sgd",
        "loss": ["sparse_categorical_crossentropy", "mse"],
        "metrics": [["accuracy"], None],
        "weighted_metrics": [None, "mae"],
        "loss_weights": [1.0, 0.25],
    },
    "data": JOB["data"] | {"x": ["a", "b"], "y": ["c", "d"], "sample_weight": ["w", "w"]},
    "fit": JOB["fit"],
}


def test_keras_pairs_lists_as_the_service_does(make_spec: Callable[..., Any], dataset: Any) -> None:
    _, arrays, find = dataset
    by_name, by_order = (make_spec(find, model=_model().to_json(), **job) for job in (JOB, BY_ORDER))
    by_name["compile"]["metrics"]["size"] = by_name["compile"]["weighted_metrics"]["kind"] = []
    assert {**by_order["compile"], "metrics": by_name["compile"]["metrics"]} | by_order["data"] == {
        **by_name["compile"]
    } | by_name["data"]
    histories = []
    for compiled in (JOB["compile"], BY_ORDER["compile"]):
        model = _model()
        model.compile(**compiled)
        keras.utils.set_random_seed(7)
        fitted = model.fit([arrays["a"], arrays["b"]], [arrays["c"], arrays["d"]], verbose=0, **JOB["fit"])
        histories.append(fitted.history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("keyed", [False, True], ids=["list", "object"])
def test_an_output_without_a_loss_is_not_trained(
    keyed: bool, make_spec: Callable[..., Any], train: Callable[..., Any], dataset: Any
) -> None:
    def make_model() -> keras.Model:
        model = _model()
        return keras.Model(model.inputs, dict(zip(model.output_names, model.outputs, strict=True))) if keyed else model

    path, arrays, find = dataset
    compiled = {"optimizer": "sgd", "loss": {"kind": None, "size": "mse"}, "metrics": {"kind": ["accuracy"]}}
    spec = make_spec(find, model=make_model().to_json(), **JOB | {"compile": compiled})
    on_one, on_two = (train(spec, dataset_path=path, cpu_devices=devices) for devices in (1, 2))
    assert on_one.outcome.reason is on_two.outcome.reason is Reason.COMPLETED, (on_one.lines, on_two.lines)
    model = make_model()
    model.compile(**compiled)
    keras.utils.set_random_seed(7)
    targets = {"kind": arrays["c"], "size": arrays["d"]} if keyed else [arrays["c"], arrays["d"]]
    weights = {"kind": arrays["w"], "size": arrays["w"]} if keyed else [arrays["w"], arrays["w"]]
    inputs = {"left": arrays["a"], "right": arrays["b"] * np.float32(0.5)}
    expected = model.fit(inputs, targets, sample_weight=weights, verbose=0, **JOB["fit"]).history
    assert set(on_one.history) == set(expected) == set(read_job(spec).logged_names)
    for name, values in expected.items():
        assert on_one.history[name] == pytest.approx(values, rel=1e-6), name
        assert on_two.history[name] == pytest.approx(values, rel=1e-5), name


@pytest.mark.parametrize(
    "fit",
    [
        {"class_weight": {"0": 3.0, "4": 0.5}},
        {"steps_per_epoch": 2},
        {"validation_split": 0.2, "validation_freq": 2, "validation_batch_size": 3},
        {"validation_split": 0.2, "validation_freq": [1, 3], "validation_steps": 1},
    ],
    ids=lambda fit: next(reversed(fit)),
)
def test_arguments_of_fit(
    fit: dict[str, Any], make_spec: Callable[..., Any], train: Callable[..., Any], dataset: Any
) -> None:
    path, arrays, find = dataset
    layers = [keras.Input((4,)), keras.layers.Dense(5, activation="softmax", kernel_initializer="ones")]
    fit = {"epochs": 3, "batch_size": 16, "shuffle": False} | fit
    compiled = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "weighted_metrics": ["accuracy"],
                "steps_per_execution": 2}  # fmt: skip
    spec = make_spec(
        find, model=keras.Sequential(layers).to_json(), compile=compiled, fit=fit,
        data={"dataset": "mine", "x": "a", "y": "c"},
    )  # fmt: skip
    trained = train(spec, dataset_path=path)
    model = keras.Sequential(layers)
    model.compile(**compiled)
    weights = {int(label): weight for label, weight in fit.get("class_weight", {}).items()}
    model.fit(arrays["a"], arrays["c"], verbose=0, **fit | {"class_weight": weights or None})
    history = model.history.history
    assert [epoch.logs["loss"] for epoch in trained.epochs] == pytest.approx(history["loss"], rel=1e-6)
    validated = [epoch.logs["val_loss"] for epoch in trained.epochs if "val_loss" in epoch.logs]
    assert validated == pytest.approx(history.get("val_loss", []), rel=1e-6)
