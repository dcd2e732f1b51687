"""Layers that learn from the training data before the training, as in a plain script that calls `adapt`."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.reports import EpochEnded, SnapshotWritten
from fitqueue.spec import read_job
from fitqueue.states import Reason
from workers.keras_tools.models import build_model
from workers.shared.protocol import Stop

Train = Callable[..., Any]
SAMPLES, TRAINED = 200, 150


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def sequential(array: str, *layers: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a job that trains these layers on an array."""
    first = layer("InputLayer", shape=[3 if array == "numbers" else 2], dtype=DTYPES[array])
    head = [layer("Dense", units=4, activation="relu"), layer("Dense", units=1)]
    return {
        "model": layer("Sequential", layers=[first, *layers, *head]),
        "data": {"dataset": "mine", "x": array, "y": "y"},
    }


def functional() -> dict[str, Any]:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b", dtype="int64")
    looked_up = keras.layers.IntegerLookup(output_mode="multi_hot", vocabulary=[1, 2])(b)
    both = keras.layers.Concatenate()([keras.layers.Normalization()(a), looked_up])
    model = keras.Model({"first": a, "second": b}, keras.layers.Dense(1)(both))
    config = json.loads(model.to_json())["config"]
    for layer_config in config["layers"]:
        if layer_config["class_name"] == "IntegerLookup":
            layer_config["config"]["vocabulary"] = None
    return {
        "model": {"class_name": "Functional", "config": config},
        "data": {"dataset": "mine", "x": {"first": "numbers", "second": "words"}, "y": "y"},
    }


DTYPES = {"numbers": "float32", "words": "int64"}
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "normalization": lambda: sequential("numbers", layer("Normalization", mean=None, variance=None)),
    "one mean for all": lambda: sequential("numbers", layer("Normalization", axis=None, adapt=True)),
    "bins": lambda: sequential("numbers", layer("Discretization", num_bins=6, output_mode="one_hot"), layer("Flatten")),
    "vocabulary": lambda: sequential("words", layer("IntegerLookup", output_mode="multi_hot")),
    "frequencies": lambda: sequential("words", layer("IntegerLookup", output_mode="tf_idf", max_tokens=9)),
    "one behind another": lambda: sequential(
        "numbers",
        layer("Rescaling", scale=0.5, offset=1.0),
        layer("Normalization"),
        layer("Discretization", num_bins=5),
        layer("Rescaling", scale=0.25),
    ),
    "two inputs": functional,
}
CHECKPOINT = layer("ModelCheckpoint", filepath="whole.keras")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of data whose last quarter, for validation, is unlike the rest."""
    return _write(tmp_path_factory.mktemp("data") / "data.npz", seed=1)


def test_a_job_trains_as_a_script_that_adapts_first(
    path: Path, make_spec: Callable[..., Any], train: Train, run_plain: Callable[..., Any]
) -> None:
    plain = run_plain("adapted.py", path)
    for case, fields in CASES.items():
        trained = train(_spec(make_spec, path, **fields()), dataset_path=str(path))
        assert trained.outcome.reason is Reason.COMPLETED, (case, trained.outcome, trained.lines)
        assert trained.history == plain[case], case


@pytest.mark.parametrize("case", CASES)
def test_a_whole_model_has_what_its_layers_learned(
    case: str, path: Path, make_spec: Callable[..., Any], train: Train
) -> None:
    spec = _spec(make_spec, path, **CASES[case](), callbacks=[CHECKPOINT])
    trained = train(spec, dataset_path=str(path))
    model = keras.models.load_model(trained.path_of("whole.keras"))
    arrays = np.load(path)
    x = arrays[spec["data"]["x"]] if case != "two inputs" else {
        name: arrays[array] for name, array in spec["data"]["x"].items()
    }  # fmt: skip
    predictions = model.predict(keras.tree.map_structure(lambda array: array[TRAINED:], x), verbose=0)
    loss = np.mean((predictions - arrays["y"][TRAINED:]) ** 2)
    assert trained.history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


def test_the_weights_load_into_the_model_of_the_user(path: Path, make_spec: Callable[..., Any], train: Train) -> None:
    spec = _spec(make_spec, path, **CASES["normalization"]())
    trained = train(spec, dataset_path=str(path))
    model = build_model(read_job(spec).model)
    model.load_weights(trained.path_of("best"))
    numbers = np.load(path)["numbers"]
    [layer] = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    np.testing.assert_array_equal(layer.adapt_mean.numpy(), numbers[:TRAINED].mean(axis=0))
    np.testing.assert_array_equal(layer.adapt_variance.numpy(), numbers[:TRAINED].var(axis=0))
    loss = np.mean((model.predict(numbers[TRAINED:], verbose=0) - np.load(path)["y"][TRAINED:]) ** 2)
    assert min(trained.history["val_loss"]) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("case", ["one behind another", "frequencies", "two inputs"])
def test_a_job_resumes_with_what_its_layers_learned(
    case: str, path: Path, tmp_path: Path, make_spec: Callable[..., Any], train: Train
) -> None:
    """It learns nothing anew: the data of the second part is another, so that it would learn something else."""
    spec = _spec(make_spec, path, **CASES[case](), callbacks=[CHECKPOINT])
    whole = train(spec, dataset_path=str(path))
    paused = train(
        spec,
        dataset_path=str(path),
        stop_at=lambda event: Stop(cause="pause") if isinstance(event, EpochEnded) and event.epoch == 1 else None,
    )
    snapshot = paused.directory / paused.events_of(SnapshotWritten)[-1].file
    resumed = train(spec, dataset_path=str(path), snapshot=str(snapshot))
    assert resumed.outcome.reason is Reason.COMPLETED, resumed.outcome
    assert resumed.epochs[-1].logs == whole.epochs[-1].logs
    elsewhere = train(
        spec | {"fit": spec["fit"] | {"epochs": 4}}, dataset_path=str(_write(tmp_path / "data.npz", seed=2)),
        snapshot=str(snapshot), extended=True,
    )  # fmt: skip
    assert elsewhere.outcome.reason is Reason.COMPLETED, elsewhere.outcome
    assert _learned(elsewhere.path_of("whole.keras")) == _learned(whole.path_of("whole.keras"))


def test_statistics_come_with_the_weights_of_another_job(
    path: Path, tmp_path: Path, make_spec: Callable[..., Any], train: Train
) -> None:
    spec = _spec(make_spec, path, **CASES["normalization"](), callbacks=[CHECKPOINT])
    first = train(spec, dataset_path=str(path))
    second = train(
        spec | {"initial_weights": {"job": "job_0"}},
        dataset_path=str(_write(tmp_path / "data.npz", seed=2)),
        initial_weights=str(first.path_of("best")),
    )
    assert second.outcome.reason is Reason.COMPLETED, second.outcome
    assert _learned(second.path_of("whole.keras")) == _learned(first.path_of("whole.keras"))


def test_several_devices_train_alike(path: Path, make_spec: Callable[..., Any], train: Train) -> None:
    spec = _spec(make_spec, path, **CASES["normalization"]())
    one, two = (train(spec, dataset_path=str(path), cpu_devices=devices) for devices in (1, 2))
    assert two.outcome.reason is Reason.COMPLETED, two.outcome
    assert two.history["loss"] == pytest.approx(one.history["loss"], rel=1e-4)


def _write(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    numbers = (rng.normal(size=(SAMPLES, 3)) * [50, 0.1, 10] + [100 * seed, -5, 0.1]).astype("float32")
    words = rng.integers(5, 20, size=(SAMPLES, 2)) * seed
    y = (numbers @ [0.01, 1, 0.1] + words[:, 0] % 3).astype("float32")[:, None]
    numbers[TRAINED:] += 1000
    words[TRAINED:] += 100
    np.savez(path, numbers=numbers, words=words, y=y)
    return path


def _spec(make_spec: Callable[..., Any], path: Path, **fields: Any) -> Any:
    infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in np.load(path).items()}
    return make_spec(
        lambda name: DatasetInfo(name, infos),
        compile={"optimizer": layer("Adam", learning_rate=0.01), "loss": "mse"},
        fit={"epochs": 3, "batch_size": 32, "shuffle": False, "validation_split": 0.25},
        **fields,
    )


def _learned(path: Path) -> list[Any]:
    """Return what the layers of a whole model have learned, and the files in which Keras keeps vocabularies."""
    found: list[Any] = []
    for made in keras.models.load_model(path).layers:
        if isinstance(made, keras.layers.Normalization):
            found += [made.adapt_mean.numpy().tolist(), made.adapt_variance.numpy().tolist()]
        if isinstance(made, keras.layers.Discretization):
            found.append(made.bin_boundaries)
    with zipfile.ZipFile(path) as archive:
        found += [archive.read(name) for name in archive.namelist() if name.endswith("vocabulary.txt")]
    assert found
    return found
