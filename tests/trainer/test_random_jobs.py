"""Random jobs with two outputs: the check refuses losses, metrics and targets if and only if Keras fails with them.

The models are small and valid. What they are compiled with is left to chance. Each job is compared with one epoch of
plain Keras.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fitqueue.datasets import DatasetInfo
from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec import examine_job
from service import npz
from workers.model_check.check import check

Json = dict[str, Any]

SAMPLES = 12
INDEX = np.arange(SAMPLES)
ARRAYS: dict[str, np.ndarray] = {
    "x": np.random.default_rng(1).random((SAMPLES, 6, 4), dtype="float32"),
    "labels": INDEX % 10,
    "column": (INDEX % 3)[:, None],
    "rows": np.eye(10, dtype="float32")[INDEX % 10],
    "number": (INDEX / 7).astype("float32"),
    "steps": (INDEX[:, None] + np.arange(6)) % 10,
    "w": INDEX.astype("float32"),
    "pairs": np.ones((SAMPLES, 2), "float32"),
}

TRUNKS: list[list[Json]] = [
    [],
    [{"class_name": "Conv1D", "config": {"filters": 3, "kernel_size": 2, "padding": "same"}}],
    [{"class_name": "LSTM", "config": {"units": 3, "return_sequences": True}}],
    [{"class_name": "Dense", "config": {"units": 2}}, {"class_name": "LayerNormalization", "config": {}}],
]
HEADS: list[list[Json]] = [
    [],
    [{"class_name": "Flatten", "config": {}}],
    [{"class_name": "GRU", "config": {"units": 2}}],
    [{"class_name": "GlobalAveragePooling1D", "config": {}}],
]
LOSSES = [
    "mse", "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", "crossentropy",
    "categorical_crossentropy", "binary_crossentropy", "cosine_similarity",
]  # fmt: skip
METRICS = ["accuracy", "mae", "categorical_accuracy", "sparse_top_k_categorical_accuracy"]


VECTORS, SEQUENCE = HEADS[1:], HEADS[0]
COMPATIBLE: list[tuple[list[list[Json]], int, str, str, list[str]]] = [
    (VECTORS, 10, "sparse_categorical_crossentropy", "labels", ["accuracy", "sparse_top_k_categorical_accuracy"]),
    (VECTORS, 10, "crossentropy", "rows", ["accuracy", "mae", "categorical_accuracy"]),
    (VECTORS, 3, "SparseCategoricalCrossentropy", "column", ["accuracy"]),
    (VECTORS, 1, "mse", "number", ["mae"]),
    (VECTORS, 1, "binary_crossentropy", "column", ["accuracy", "mae"]),
    ([SEQUENCE], 10, "crossentropy", "steps", ["accuracy", "sparse_top_k_categorical_accuracy"]),
]
"""Heads, units, a loss, targets and metrics that are mostly compatible."""


@st.composite
def outputs(draw: st.DrawFn) -> Json:
    """Draw what belongs to one output: compatible, except for at most one field."""
    heads, units, loss, y, metrics = draw(st.sampled_from(COMPATIBLE))
    output = {"head": draw(st.sampled_from(heads)), "units": units, "loss": loss, "y": y}
    output["metrics"] = draw(st.lists(st.sampled_from(metrics), max_size=2, unique=True))
    arbitrary = {
        "head": st.sampled_from(HEADS),
        "units": st.sampled_from([1, 3, 10]),
        "loss": st.sampled_from(LOSSES),
        "y": st.sampled_from(["labels", "column", "rows", "number", "steps"]),
        "metrics": st.lists(st.sampled_from(METRICS), max_size=2, unique=True),
    }
    if draw(st.integers(0, 2)) == 0:
        name = draw(st.sampled_from(sorted(arbitrary)))
        output[name] = draw(arbitrary[name])
    return output


@st.composite
def jobs(draw: st.DrawFn) -> Json:
    by_output = {name: draw(outputs()) for name in "ab"}
    by_field = {field: {name: output[field] for name, output in by_output.items()} for field in by_output["a"]}
    has_one_loss = by_field["loss"]["a"] == by_field["loss"]["b"]
    loss_weights = (
        [None, 0.5, {"a": 1.0}] if has_one_loss else [None, {"a": 1.0, "b": 0.5}, {"a": 1.0, "b": 0.5}, {"b": 2.0}]
    )
    return {
        "trunk": draw(st.sampled_from(TRUNKS)),
        "heads": by_field["head"],
        "units": by_field["units"],
        "named": draw(st.booleans()),
        "loss": by_field["loss"]["a"] if has_one_loss else by_field["loss"],
        "loss_weights": draw(st.sampled_from(loss_weights)),
        "metrics": {name: metrics for name, metrics in by_field["metrics"].items() if metrics},
        "y": by_field["y"],
        "sample_weight": draw(st.sampled_from([None, None, None, "w", "pairs"])),
    }


def raw_job(job: Json) -> Json:
    """Return the job as a user sends it."""
    layers: list[Json] = [{"class_name": "InputLayer", "config": {"name": "in", "shape": [6, 4]}, "inbound_nodes": []}]

    def append(source: str, chain: list[Json], stem: str) -> str:
        """Append a chain of layers after the layer `source`; return the name of the last one."""
        for i, layer in enumerate(chain):
            tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}
            source = f"{stem}{i}"
            config = {"name": source, **layer["config"]}
            layers.append({**layer, "config": config, "inbound_nodes": [{"args": [tensor], "kwargs": {}}]})
            source = config["name"]
        return source

    trunk = append("in", job["trunk"], "trunk")
    for name in "ab":
        last = {"class_name": "Dense", "config": {"name": name, "units": job["units"][name], "activation": "sigmoid"}}
        append(trunk, [*job["heads"][name], last], f"{name}_")
    histories = {"a": ["a", 0, 0], "b": ["b", 0, 0]}
    outputs = histories if job["named"] else list(histories.values())
    model = {"layers": layers, "input_layers": ["in", 0, 0], "output_layers": outputs}
    compiled = {"optimizer": "sgd", **{key: job[key] for key in ("loss", "loss_weights", "metrics")}}
    data = {"dataset": "mine", "x": "x", "y": job["y"], "sample_weight": job["sample_weight"]}
    return {
        "model": {"class_name": "Functional", "config": model},
        "compile": compiled,
        "data": data,
        "fit": {"batch_size": 4},
        "seed": 1,
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the data set."""
    path: Path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **ARRAYS)
    return path


def reason_of_check(job: Json, path: Path) -> str | None:
    """Return why the check refuses the job; None if it accepts it."""
    infos = npz.inspect(path, 10**9).arrays
    examined = examine_job(raw_job(job), lambda name: DatasetInfo(name, infos))
    spec = (examined.spec or examined.partial).to_json()
    check_request = {"spec": spec, "arrays": infos, "max_bytes": 10**12}
    faults = [*examined.faults, *check(ModelCheckRequest.model_validate(check_request), lambda pointer: None).faults]
    return str([(fault.pointer, fault.message) for fault in faults]) if faults else None


def reason_of_keras(job: Json) -> str | None:
    """Return why Keras fails to train the job; None if it trains it."""
    try:
        model = plain_model(job)
        model.compile("sgd", job["loss"], job["loss_weights"], metrics=job["metrics"], run_eagerly=True)
        y = {name: ARRAYS[array] for name, array in job["y"].items()}
        weights = ARRAYS[job["sample_weight"]] if job["sample_weight"] else None
        model.fit(
            ARRAYS["x"],
            y if job["named"] else list(y.values()),
            sample_weight=weights,
            batch_size=4,
            shuffle=False,
            verbose=0,
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def plain_model(job: Json) -> keras.Model:
    def apply(tensor: Any, chain: list[Json]) -> Any:
        for layer in chain:
            tensor = getattr(keras.layers, layer["class_name"])(**layer["config"])(tensor)
        return tensor

    inputs = keras.Input((6, 4))
    trunk = apply(inputs, job["trunk"])
    outputs = {
        name: keras.layers.Dense(job["units"][name], activation="sigmoid", name=name)(apply(trunk, job["heads"][name]))
        for name in "ab"
    }
    return keras.Model(inputs, outputs if job["named"] else list(outputs.values()))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(jobs())
def test_the_check_and_keras_agree(path: Path, job: Json) -> None:
    keras_reason, check_reason = reason_of_keras(job), reason_of_check(job, path)
    event("fails" if keras_reason else "trains")
    assert (check_reason is None) == (keras_reason is None), f"Keras: {keras_reason}\ncheck: {check_reason}"
