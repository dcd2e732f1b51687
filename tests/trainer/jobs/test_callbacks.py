"""Callbacks for learning rate schedules and averaged weights, and those that write files."""

import csv
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.reports import ArtifactWritten, EpochEnded
from fitqueue.states import Reason
from workers.shared.protocol import Stop

Train = Callable[..., Any]


def _scheduler(schedule: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"class_name": "LearningRateScheduler", "config": {"schedule": schedule}}]


@pytest.mark.parametrize("devices", [1, 2])
def test_a_declared_schedule_sets_the_rate_of_each_epoch(
    devices: int, make_spec: Callable[..., Any], train: Train
) -> None:
    spec = make_spec(
        fit={"epochs": 4, "batch_size": 64}, callbacks=_scheduler({"kind": "step", "epochs": 2, "factor": 0.5})
    )
    trained = train(spec, cpu_devices=devices)
    assert [epoch.learning_rate for epoch in trained.epochs] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4])
    assert [epoch.logs["learning_rate"] for epoch in trained.epochs] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4])


def test_averaged_weights_are_used_for_validation(make_spec: Callable[..., Any], train: Train) -> None:
    optimizer = {"class_name": "Adam", "config": {"use_ema": True, "ema_momentum": 0.5}}
    compiled = {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}
    fit = {"epochs": 2, "batch_size": 64, "validation_split": 0.2, "shuffle": False}
    plain, swapped = (
        train(make_spec(compile=compiled, fit=fit, callbacks=callbacks))
        for callbacks in ([], [{"class_name": "SwapEMAWeights", "config": {}}])
    )
    assert swapped.history["loss"] == plain.history["loss"]
    assert swapped.history["val_loss"] != plain.history["val_loss"]


WRITING_CALLBACKS = [
    {"class_name": "CSVLogger", "config": {"filename": "log.csv", "separator": ";"}},
    {"class_name": "TensorBoard", "config": {"log_dir": "board", "histogram_freq": 1}},
]


def test_files_of_callbacks_are_artifacts(make_spec: Callable[..., Any], train: Train) -> None:
    trained = train(make_spec(callbacks=WRITING_CALLBACKS))
    table, board = trained.events_of(ArtifactWritten)
    assert (table.name, board.name) == ("log.csv", "board.zip")
    with (trained.directory / table.file).open() as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [float(row["loss"]) for row in rows] == trained.history["loss"]
    archive = zipfile.ZipFile(trained.directory / board.file)
    assert archive.testzip() is None
    assert any(name.startswith("train/events.out.tfevents") for name in archive.namelist())
    assert _scalars(archive, trained.directory)["epoch_loss"] == pytest.approx(trained.history["loss"], rel=1e-6)


def test_a_cancelled_job_has_its_artifacts(make_spec: Callable[..., Any], train: Train) -> None:
    trained = train(
        make_spec(callbacks=WRITING_CALLBACKS, fit={"epochs": 1000, "batch_size": 64}),
        stop_at=lambda event: Stop(cause="cancel") if isinstance(event, EpochEnded) and event.epoch == 2 else None,
    )
    assert trained.outcome.reason is Reason.CANCELLED_BY_USER
    assert {written.name for written in trained.events_of(ArtifactWritten)} == {"log.csv", "board.zip"}


def _scalars(archive: zipfile.ZipFile, directory: Any) -> dict[str, list[float]]:
    """Return the values by tag, as TensorBoard reads them."""
    import tensorflow as tf

    archive.extractall(directory / "unzipped")
    [events] = [path for path in (directory / "unzipped" / "train").iterdir() if "tfevents" in path.name]
    scalars: dict[str, list[float]] = {}
    for event in tf.compat.v1.train.summary_iterator(str(events)):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars" or value.tag.startswith("epoch_"):
                scalars.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    return scalars
