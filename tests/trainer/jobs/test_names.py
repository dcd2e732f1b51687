"""Jobs with names that are not identifiers: they train, their files are written, and plain Keras loads them."""

import csv
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.reports import ArtifactWritten
from fitqueue.spec import KerasObject
from fitqueue.states import Reason
from workers.keras_tools.models import build_model

LAYER_NAMES = ["block1.conv1", "3x3_conv", "res-block", "_hidden", "..", "a>b", "n" * 255, "conv1/conv"]
METRIC_NAMES = ["f1-score", "auc@pr", "准确率", "=1+1", "a b", "a/b", "%s", "a{b}"]

JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "name": "mobilenetv2_1.00_224",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8], "name": "图像"}},
                {"class_name": "Flatten", "config": {}},
                *({"class_name": "Dense", "config": {"units": 4, "name": name}} for name in LAYER_NAMES),
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax", "name": "-out"}},
            ],
        },
    },
    "compile": {
        "optimizer": {"class_name": "Adam", "config": {"name": ".adam-1"}},
        "loss": {"class_name": "SparseCategoricalCrossentropy", "config": {"name": "_loss.1"}},
        "metrics": [
            {"class_name": "SparseCategoricalAccuracy", "config": {"name": name}} for name in METRIC_NAMES
        ],
    },
    "fit": {"epochs": 2, "batch_size": 64, "validation_split": 0.25},
    "callbacks": [
        {"class_name": "CSVLogger", "config": {"filename": "logs/训练 1.csv"}},
        {"class_name": "TensorBoard", "config": {"log_dir": "./logs/fit/12:00", "histogram_freq": 1}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "m-{epoch:0>2d}-{val_f1-score:0.4f}-{auc@pr:.1%}-{准确率:.02f}.h5",
            "monitor": "val_准确率", "mode": "max"}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def spec(make_spec: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make_spec(**JOB)


@pytest.fixture(scope="module")
def trained(spec: dict[str, Any], train: Callable[..., Any]) -> Any:
    """Train the job, once."""
    result = train(spec)
    assert result.outcome.reason is Reason.COMPLETED, result.outcome
    return result


def test_all_metrics_are_logged_under_their_names(trained: Any) -> None:
    assert set(trained.history) == {
        *["loss", "val_loss"], *METRIC_NAMES, *(f"val_{name}" for name in METRIC_NAMES),
    }  # fmt: skip
    assert len({tuple(trained.history[name]) for name in METRIC_NAMES}) == 1


def test_checkpoints_have_the_names_that_python_formats(trained: Any) -> None:
    logged = zip(*(trained.history[name] for name in ("val_f1-score", "auc@pr", "准确率")), strict=True)
    expected = [
        f"m-{epoch:0>2d}-{f1:0.4f}-{auc:.1%}-{accuracy:.02f}.keras"
        for epoch, (f1, auc, accuracy) in enumerate(logged, start=1)
    ]
    names = [name for written in trained.checkpoints for name in written.names if name.startswith("m-")]
    assert names == expected


def test_plain_keras_loads_the_files(trained: Any, spec: dict[str, Any]) -> None:
    name = next(name for written in reversed(trained.checkpoints) for name in written.names if name.endswith(".keras"))
    whole = keras.models.load_model(trained.path_of(name), compile=False)
    assert [layer.name for layer in whole.layers][1:-1] == [*LAYER_NAMES[:-1], "conv1_conv"]
    rebuilt = build_model(KerasObject.model_validate(spec["model"]))
    rebuilt.load_weights(trained.path_of("last"))
    for loaded, expected in zip(rebuilt.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)


def test_artifacts_have_labels_and_whole_contents(trained: Any) -> None:
    table, board = trained.events_of(ArtifactWritten)
    assert (table.name, board.name) == ("logs-训练 1.csv", "logs-fit-12:00.zip")
    with (trained.directory / table.file).open() as file:
        rows = list(csv.DictReader(file))
    headings = ["'=1+1" if name == "=1+1" else name for name in METRIC_NAMES]
    assert {*headings, *(f"val_{name}" for name in METRIC_NAMES)} <= set(rows[0])
    assert [float(row["准确率"]) for row in rows] == trained.history["准确率"]
    assert zipfile.ZipFile(trained.directory / board.file).testzip() is None
