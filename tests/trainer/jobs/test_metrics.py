"""Every metric of the catalogue in a job: one value for a class is logged as its mean and by itself."""

import csv
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fitqueue.datasets import BUILTIN
from fitqueue.reports import ArtifactWritten, Position
from fitqueue.spec.keras_objects import catalogue
from fitqueue.states import Reason
from workers.shared.protocol import Progress

Config = dict[str, Any]
Metrics = list[tuple[str, Config]]

REQUIRED: dict[str, Config] = {
    "IoU": {"num_classes": 10, "target_class_ids": [0, 1]},
    "OneHotIoU": {"num_classes": 10, "target_class_ids": [0, 1]},
    "MeanIoU": {"num_classes": 10},
    "OneHotMeanIoU": {"num_classes": 10},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}
NAMES = list(catalogue.kind("metrics").classes)
FOR_LABELS: Metrics = [(name, {}) for name in NAMES if name.startswith("Sparse")]
FOR_ROWS: Metrics = [(name, REQUIRED.get(name, {})) for name in NAMES if not name.startswith("Sparse")]
THRESHOLDS = ("Precision", "Recall", "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")
WITH_VALUES: Metrics = [
    ("R2Score", {"class_aggregation": None, "name": "r2_of_classes"}),
    ("F1Score", {"average": "macro", "name": "macro"}),
    *((name, {"thresholds": [0.25, 0.5], "name": f"two_{name}"}) for name in THRESHOLDS),
]


@pytest.mark.parametrize("metrics", [FOR_LABELS, FOR_ROWS, WITH_VALUES], ids=["labels", "rows", "values"])
def test_a_job_logs_what_a_plain_script_logs(
    metrics: Metrics, make_spec: Callable[..., Any], train: Callable[..., Any], run_plain: Callable[..., Any]
) -> None:
    loss = "sparse_categorical_crossentropy" if metrics is FOR_LABELS else "categorical_crossentropy"
    trained = train(_spec(make_spec, metrics, loss))
    assert trained.outcome.reason is Reason.COMPLETED, trained.outcome
    plain = run_plain("metrics.py", BUILTIN["digits"].path, loss, json.dumps(metrics))
    assert len(plain) == 2 * (len(metrics) + 1)
    expected = {
        name: value for key, values in plain.items() for name, value in _as_logged(key, np.asarray(values)).items()
    }
    assert trained.history == expected


def test_callbacks_follow_the_mean(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    callbacks = [
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "{val_f1_score:.4f}.weights.h5", "save_weights_only": True, "monitor": "val_f1_score"}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "b{batch}-{f1_score:.4f}.weights.h5", "save_weights_only": True, "save_freq": 15}},
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "f1_score", "mode": "max"}},
        {"class_name": "EarlyStopping", "config": {"monitor": "val_f1_score", "min_delta": 0.999, "patience": 1}},
        {"class_name": "CSVLogger", "config": {"filename": "log.csv"}},
    ]  # fmt: skip
    spec = _spec(make_spec, [("F1Score", {})], "categorical_crossentropy", callbacks=callbacks)
    trained = train(spec | {"fit": spec["fit"] | {"epochs": 9}})
    assert (trained.outcome.reason, len(trained.epochs)) == (Reason.EARLY_STOPPED, 2)
    history = trained.history
    for i, mean in enumerate(history["val_f1_score"]):
        assert mean == np.mean([history[f"val_f1_score/{label}"][i] for label in range(10)])
    best = [written for written in trained.checkpoints if "best" in written.names][-1]
    assert (best.monitor, best.value) == ("val_f1_score", max(history["val_f1_score"]))
    names = [name for written in trained.checkpoints for name in written.names]
    assert {f"{mean:.4f}.weights.h5" for mean in history["val_f1_score"]} <= set(names)
    assert [name[:4] for name in names if name.startswith("b1")] == ["b15-", "b13-"]  # of 17 steps in an epoch
    [table] = trained.events_of(ArtifactWritten)
    with (trained.directory / table.file).open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["f1_score/3"]) for row in rows] == history["f1_score/3"]


def test_the_first_progress_has_the_metrics_of_the_first_step(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    """On several devices, too, where what a step returns is only a part of them."""
    metrics: Metrics = [("AUC", {}), ("F1Score", {}), ("CategoricalAccuracy", {})]
    spec = _spec(make_spec, metrics, "categorical_crossentropy")
    one_step = train(spec | {"fit": spec["fit"] | {"epochs": 1, "steps_per_epoch": 1}}).epochs[0].logs
    expected = {name: value for name, value in one_step.items() if not name.startswith("val_")}
    for devices in (1, 2):
        first, *_ = train(spec, cpu_devices=devices).events_of(Progress)
        assert first.position == Position(0, 1)
        assert list(first.metrics) == list(expected)
        assert first.metrics == pytest.approx(expected, rel=1e-5), devices


def test_several_devices_log_the_same(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    spec = _spec(make_spec, [("F1Score", {}), ("FBetaScore", {"beta": 2.0})], "categorical_crossentropy")
    one, two = (train(spec, cpu_devices=devices).history for devices in (1, 2))
    assert list(one) == list(two)
    for name in one:
        assert two[name] == pytest.approx(one[name], abs=1e-5), name


def _spec(make_spec: Callable[..., Any], metrics: Metrics, loss: str, **fields: Any) -> dict[str, Any]:
    prepare = {"x": [{"scale": 0.0625}], "y": [] if loss.startswith("sparse") else [{"one_hot": 10}]}
    return make_spec(
        compile={
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.001}},
            "loss": loss,
            "metrics": [{"class_name": name, "config": config} for name, config in metrics],
        },
        data={"dataset": "digits", "x": "x_train", "y": "y_train", "prepare": prepare},
        fit={"epochs": 2, "batch_size": 64, "shuffle": False, "validation_split": 0.25},
        **fields,
    )


def _as_logged(name: str, values: Any) -> dict[str, list[float]]:
    """Return the values of each epoch as a job logs them."""
    if values.ndim == 1:
        return {name: values.tolist()}
    by_class = {f"{name}/{i}": values[:, i].tolist() for i in range(values.shape[1])}
    return {name: values.mean(axis=1).tolist(), **by_class}
