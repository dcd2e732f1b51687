"""Jobs with class weights, compared with plain Keras: its own `class_weight` where it has it, or sample weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.states import Reason

SAMPLES = 40
WEIGHTS = {"0": 3.0, "2": 0.5}
BY_LABEL = np.array([3.0, 1.0, 0.5], "float32")


def two_outputs() -> keras.Model:
    a = keras.Input((4,), name="a")
    o1 = keras.layers.Dense(1, kernel_initializer="ones", name="o1")(a)
    o2 = keras.layers.Dense(3, kernel_initializer="ones", activation="softmax", name="o2")(a)
    return keras.Model(a, [o1, o2], name="m")


def pixels() -> keras.Model:
    return keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1, activation="softmax", kernel_initializer="ones")]
    )


def labels() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax", kernel_initializer="ones")])


random = np.random.default_rng(2)
ARRAYS: dict[str, Any] = {
    "x": random.random((SAMPLES, 4), dtype="float32"),
    "y": random.random((SAMPLES, 1), dtype="float32"),
    "y3": random.integers(0, 3, SAMPLES),
    "w": random.random(SAMPLES, dtype="float32"),
    "images": random.random((SAMPLES, 4, 4, 1), dtype="float32"),
    "masks": random.integers(0, 3, (SAMPLES, 4, 4)).astype("uint8"),
    "rows": keras.utils.to_categorical(random.integers(0, 3, SAMPLES), 3),
}
SPARSE = "sparse_categorical_crossentropy"
OF_KINDS = BY_LABEL[ARRAYS["y3"]]
BALANCED_PIXELS = ARRAYS["masks"].size / (3 * np.bincount(ARRAYS["masks"].ravel()))

# What the job says beside its model, and how a plain script says it.
CASES: dict[str, tuple[Callable[[], keras.Model], dict[str, Any], dict[str, Any]]] = {
    "one of two outputs": (
        two_outputs,
        {"compile": {"loss": {"o1": "mse", "o2": SPARSE}}, "y": {"o1": "y", "o2": "y3"},
         "class_weight": {"o2": WEIGHTS}},
        {"sample_weight": [np.ones(SAMPLES, "float32"), OF_KINDS]},
    ),
    "with sample weights": (
        two_outputs,
        {"compile": {"loss": {"o1": "mse", "o2": SPARSE}, "weighted_metrics": {"o2": ["accuracy"]}},
         "y": {"o1": "y", "o2": "y3"}, "sample_weight": "w", "class_weight": {"o2": WEIGHTS}},
        {"sample_weight": [ARRAYS["w"], ARRAYS["w"] * OF_KINDS]},
    ),
    "pixels": (
        pixels,
        {"compile": {"loss": SPARSE, "weighted_metrics": ["accuracy"]}, "x": "images", "y": "masks",
         "class_weight": "balanced"},
        {"sample_weight": BALANCED_PIXELS[ARRAYS["masks"]].astype("float32")},
    ),
    "one hot, validated": (
        labels,
        {"compile": {"loss": "categorical_crossentropy", "weighted_metrics": ["accuracy"]}, "y": "rows",
         "class_weight": WEIGHTS, "fit": {"validation_split": 0.25}},
        {"class_weight": {0: 3.0, 2: 0.5}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_job_with_class_weights_equals_a_plain_script(
    name: str, make_spec: Callable[..., Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    make_model, job, plain = CASES[name]
    np.savez(tmp_path / "data.npz", **ARRAYS)
    infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in ARRAYS.items()}
    fit = {"epochs": 2, "batch_size": 8, "shuffle": False} | job.get("fit", {})
    x, compiled = job.get("x", "x"), {"optimizer": "sgd"} | job["compile"]
    data = {"dataset": "CASE4", "x": x, "y": job["y"], "sample_weight": job.get("sample_weight")}
    spec = make_spec(
        lambda name: DatasetInfo(name, infos),
        model=make_model().to_json(),
        compile=compiled,
        data=data,
        fit=fit | {"class_weight": job["class_weight"]},
    )
    on_one, on_two = (train(spec, dataset_path=str(tmp_path / "data.npz"), cpu_devices=devices) for devices in (1, 2))
    assert on_one.outcome.reason is on_two.outcome.reason is Reason.COMPLETED, (on_one.lines, on_two.lines)

    model = make_model()
    model.compile(**compiled)
    keras.utils.set_random_seed(7)
    y = [ARRAYS[array] for array in job["y"].values()] if isinstance(job["y"], dict) else ARRAYS[job["y"]]
    expected = model.fit(ARRAYS[x], y, verbose=0, **fit, **plain).history
    assert set(on_one.history) == set(expected)
    for metric, values in expected.items():
        assert on_one.history[metric] == pytest.approx(values, rel=1e-6), metric
        assert on_two.history[metric] == pytest.approx(values, rel=1e-5), metric
