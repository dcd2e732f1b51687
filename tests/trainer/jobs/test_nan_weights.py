"""Weights that become NaN or infinite although the loss of the epoch does not."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.reports import Position, SnapshotWritten
from fitqueue.states import Reason

MODEL = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "InputLayer", "config": {"shape": [4]}},
            {"class_name": "Dense", "config": {"units": 8, "activation": "relu"}},
            {"class_name": "Dense", "config": {"units": 1}},
        ]
    },
}
SAMPLES = 256
# An epoch of one step: its loss is that before the step.
ONE_STEP = {"epochs": 4, "batch_size": SAMPLES, "shuffle": False}


def _sgd(learning_rate: Any) -> dict[str, Any]:
    return {"optimizer": {"class_name": "SGD", "config": {"learning_rate": learning_rate}}, "loss": "mse"}


# A rate that makes the weights infinite in the third step.
EXPLODING = {"class_name": "PiecewiseConstantDecay", "config": {"boundaries": [1], "values": [0.001, 1e38]}}


@pytest.fixture
def train_on(tmp_path: Path, make_spec: Callable[..., Any], train: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that trains on data with NaN in the sample with this index."""

    def train_on(spoiled: int | None = None, **fields: Any) -> Any:
        x = np.random.default_rng(1).random((SAMPLES, 4), "float32")
        y = 1000 + x.sum(axis=1)
        if spoiled is not None:
            x[spoiled, 2] = math.nan
        path = tmp_path / "data.npz"
        np.savez(path, x=x, y=y)
        infos = {"x": ArrayInfo(x.shape, "float32"), "y": ArrayInfo(y.shape, "float32")}
        common = {
            "model": MODEL,
            "compile": _sgd(0.001),
            "data": {"dataset": "mine", "x": "x", "y": "y"},
            "fit": ONE_STEP,
        }
        spec = make_spec(lambda name: DatasetInfo(name, infos), **common | fields)
        return train(spec, dataset_path=str(path))

    return train_on


def test_the_job_ends_in_the_epoch_in_which_weights_become_infinite(train_on: Callable[..., Any]) -> None:
    trained = train_on(compile=_sgd(EXPLODING))
    assert trained.outcome.reason is Reason.NAN_WEIGHTS, trained.outcome
    assert "/kernel' were NaN or infinite in epoch 3, although its loss was" in trained.outcome.message
    assert len(trained.epochs) == 3
    assert all(math.isfinite(epoch.logs["loss"]) for epoch in trained.epochs)
    assert not _all_finite(trained.path_of("last"))  # the file shows what happened
    best = [written for written in trained.checkpoints if "best" in written.names]
    assert best[-1].epoch == 2
    assert all(_all_finite(trained.directory / written.file) for written in best)
    assert max(written.position for written in trained.events_of(SnapshotWritten)) == Position(2)


def test_without_a_complete_epoch_there_is_no_best(train_on: Callable[..., Any]) -> None:
    callback = {"class_name": "ModelCheckpoint", "config": {
        "filepath": "b{batch}.weights.h5", "save_weights_only": True, "save_freq": 2}}  # fmt: skip
    fit = {"epochs": 2, "batch_size": SAMPLES // 2, "shuffle": False}
    trained = train_on(compile=_sgd(1e38), callbacks=[callback], fit=fit)
    assert trained.outcome.reason in {Reason.NAN_WEIGHTS, Reason.NAN_LOSS}
    assert [written.names for written in trained.checkpoints] == [["b2.weights.h5"], ["last"]]
    assert trained.events_of(SnapshotWritten) == []


def test_one_nan_in_the_data_fails_the_job(train_on: Callable[..., Any]) -> None:
    """Whether relu gives 0 for NaN, and the loss stays finite, depends on the processor and the shapes."""
    trained = train_on(SAMPLES - 1, fit={"epochs": 4, "batch_size": 32, "shuffle": False, "steps_per_epoch": 4})
    assert trained.outcome.reason in {Reason.NAN_WEIGHTS, Reason.NAN_LOSS}
    assert len(trained.epochs) == 2
    assert not _all_finite(trained.path_of("last"))
    assert _all_finite(trained.path_of("best"))


def test_clean_data_trains(train_on: Callable[..., Any]) -> None:
    trained = train_on()
    assert trained.outcome.reason is Reason.COMPLETED
    assert _all_finite(trained.path_of("best"))
    assert _all_finite(trained.path_of("last"))


def _all_finite(path: Path) -> bool:
    found: list[bool] = []

    def look(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(bool(np.isfinite(item[()]).all()))

    with h5py.File(path) as file:
        file.visititems(look)
    assert found
    return all(found)
