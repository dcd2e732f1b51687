"""One NaN in the data of relu layers: it spoils the weights in one step, while the loss stays finite."""

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


@pytest.fixture
def train_on(
    tmp_path: Path, make_spec: Callable[..., Any], train: Callable[..., Any]
) -> Callable[[int | None], Callable[..., Any]]:
    """Return a function that trains on data with NaN in the sample with this index."""

    def train_on(spoiled: int | None, **fields: Any) -> Any:
        x = np.random.default_rng(1).random((SAMPLES, 4), "float32")
        y = x.sum(axis=1)
        if spoiled is not None:
            x[spoiled, 2] = math.nan
        path = tmp_path / "data.npz"
        np.savez(path, x=x, y=y)
        infos = {"x": ArrayInfo(x.shape, "float32"), "y": ArrayInfo(y.shape, "float32")}
        spec = make_spec(
            lambda name: DatasetInfo(name, infos),
            **{
                "model": MODEL,
                "compile": {"optimizer": "adam", "loss": "mse"},
                "data": {"dataset": "mine", "x": "x", "y": "y"},
                "fit": {"epochs": 4, "batch_size": 32, "shuffle": False, "steps_per_epoch": 4},
            }
            | fields,
        )
        return train(spec, dataset_path=str(path), snapshot_seconds=0)

    return train_on


def test_the_job_ends_in_the_epoch_in_which_weights_become_nan(train_on: Callable[..., Any]) -> None:
    trained = train_on(SAMPLES - 1)
    assert trained.outcome.reason is Reason.NAN_WEIGHTS
    assert trained.outcome.message.startswith("The weights 'sequential/dense/kernel' were NaN or infinite in epoch 2")
    assert len(trained.epochs) == 2
    assert all(math.isfinite(value) for epoch in trained.epochs for value in epoch.logs.values())
    assert not _all_finite(trained.path_of("last"))  # the file shows what happened


def test_best_has_the_last_weights_without_nan(train_on: Callable[..., Any]) -> None:
    trained = train_on(SAMPLES - 1)
    best = [written for written in trained.checkpoints if "best" in written.names]
    assert [written.epoch for written in best] == [1]
    assert _all_finite(trained.path_of("best"))


def test_no_training_resumes_from_nan(train_on: Callable[..., Any]) -> None:
    trained = train_on(SAMPLES - 1)
    assert Position(1) <= max(written.position for written in trained.events_of(SnapshotWritten)) < Position(2)


def test_without_a_complete_epoch_there_is_no_best(train_on: Callable[..., Any]) -> None:
    callback = {"class_name": "ModelCheckpoint", "config": {
        "filepath": "b{batch}.weights.h5", "save_weights_only": True, "save_freq": 2}}  # fmt: skip
    trained = train_on(0, callbacks=[callback])
    assert trained.outcome.reason is Reason.NAN_WEIGHTS
    assert "in epoch 1" in trained.outcome.message
    assert [written.names for written in trained.checkpoints] == [["b2.weights.h5"], ["last"]]


def test_clean_data_trains(train_on: Callable[..., Any]) -> None:
    trained = train_on(None)
    assert trained.outcome.reason is Reason.COMPLETED
    assert _all_finite(trained.path_of("best"))
    assert _all_finite(trained.path_of("last"))


def _all_finite(path: Path) -> bool:
    found: list[bool] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda _, item: found.append(bool(np.isfinite(item[()]).all())) if isinstance(item, h5py.Dataset) else None
        )
    assert found
    return all(found)
