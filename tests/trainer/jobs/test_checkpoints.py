"""The files of checkpoints, and the reports about them."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from fitqueue.spec import read_job
from fitqueue.states import Reason
from workers.keras_tools.compiling import compile_model
from workers.keras_tools.models import build_model
from workers.trainer.checkpoint_writer import PAUSE_SECONDS

VALIDATED = {
    "data": {
        "dataset": "digits", "x": "x_train", "y": "y_train", "validation": {"x": "x_test", "y": "y_test"},
        "prepare": {"x": [{"scale": 0.0625}]},
    }
}  # fmt: skip


def checkpoint(filepath: str, **arguments: Any) -> dict[str, Any]:
    return {"class_name": "ModelCheckpoint", "config": {"filepath": filepath, "monitor": "loss", **arguments}}


def test_each_report_describes_its_file(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(callbacks=[checkpoint("e{epoch}.weights.h5", save_weights_only=True)]))
    assert trained.checkpoints
    for written in trained.checkpoints:
        content = (trained.directory / written.file).read_bytes()
        assert (written.size, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_names_of_one_epoch_share_a_file(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    callbacks = [checkpoint(f"{name}{{epoch}}.weights.h5", save_weights_only=True) for name in ("a", "b")]
    trained = train(make_spec(callbacks=callbacks))
    assert [written.names for written in trained.checkpoints] == [
        ["a1.weights.h5", "b1.weights.h5", "best", "last"],
        ["a2.weights.h5", "b2.weights.h5", "best", "last"],
    ]
    assert len(list(trained.directory.glob("*.weights.h5"))) == 2


def test_best_and_last_are_saved_without_any_callback(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    began_at = time.monotonic()
    trained = train(make_spec(**VALIDATED, fit={"epochs": 30, "batch_size": 64}))
    pauses = (time.monotonic() - began_at) / PAUSE_SECONDS
    assert trained.path_of("best").exists()
    last = [written for written in trained.checkpoints if "last" in written.names][-1]
    assert (last.epoch, last.batch, last.monitor) == (30, None, "val_loss")
    # Short epochs share files, two after each pause; otherwise there would be thirty or more.
    assert len(trained.checkpoints) <= 5 + 2 * pauses


def test_best_follows_the_first_model_checkpoint(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    callbacks = [
        checkpoint("{epoch}.weights.h5", save_weights_only=True, monitor="val_accuracy", save_best_only=True),
        checkpoint("{epoch}.keras", monitor="loss"),
    ]
    trained = train(make_spec(**VALIDATED, callbacks=callbacks, fit={"epochs": 6, "batch_size": 64}))
    best = [written for written in trained.checkpoints if "best" in written.names]
    assert {written.monitor for written in best} == {"val_accuracy"}
    assert best[-1].value == max(trained.history["val_accuracy"])


def test_weights_do_not_include_the_optimizer(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec())
    with h5py.File(trained.path_of("last")) as file:
        assert "optimizer" not in file


def test_weights_include_the_optimizer_on_request(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    callback = checkpoint("full.weights.h5", save_weights_only=True, include_optimizer=True)
    trained = train(make_spec(callbacks=[callback]))
    with h5py.File(trained.path_of("full.weights.h5")) as file:
        assert "optimizer" in file
    with h5py.File(trained.path_of("last")) as file:
        assert "optimizer" not in file


def test_a_whole_model_loads_by_itself(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(callbacks=[checkpoint("model.keras")]))
    loaded = keras.models.load_model(trained.path_of("model.keras"))
    weights = build_model(read_job(make_spec()).model)
    weights.load_weights(trained.path_of("last"))
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), weights.get_weights(), strict=True))


def plain_model(spec: dict[str, Any]) -> keras.Model:
    """Return the model of a job, compiled as it says."""
    job = read_job(spec)
    model = build_model(job.model)
    compile_model(model, job.compile)
    return model


COMPILED: dict[str, dict[str, Any]] = {
    "names": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "objects": {
        "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.05, "momentum": 0.5}},
        "loss": {"class_name": "SparseCategoricalCrossentropy", "config": {"ignore_class": 3}},
        "metrics": [{"class_name": "SparseTopKCategoricalAccuracy", "config": {"k": 2}}],
        "weighted_metrics": ["accuracy"],
    },
    "a schedule": {
        "optimizer": {
            "class_name": "Adam",
            "config": {
                "learning_rate": {
                    "class_name": "ExponentialDecay",
                    "config": {"initial_learning_rate": 0.01, "decay_steps": 10, "decay_rate": 0.9},
                }
            },
        },
        "loss": "sparse_categorical_crossentropy",
    },
}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("compiled", COMPILED.values(), ids=COMPILED)
def test_a_whole_model_is_compiled_when_it_is_loaded_as_one_that_keras_saves(
    compiled: dict[str, Any],
    devices: int,
    make_spec: Callable[..., Any],
    train: Callable[..., Any],
    tmp_path: Path,
) -> None:
    spec = make_spec(callbacks=[checkpoint("model.keras")], compile=compiled)
    loaded = keras.models.load_model(train(spec, cpu_devices=devices).path_of("model.keras"))
    plain_model(spec).save(tmp_path / "plain.keras")
    plain = keras.models.load_model(tmp_path / "plain.keras")
    assert loaded.get_compile_config() == plain.get_compile_config() | {
        name: loaded.get_compile_config()[name] for name in ("steps_per_execution", "jit_compile")
    }
    plain.set_weights(loaded.get_weights())
    x, y = np.ones((4, 8, 8), "float32"), np.arange(4)
    assert loaded.evaluate(x, y, verbose=0) == plain.evaluate(x, y, verbose=0)
    loaded.fit(x, y, verbose=0)


def test_a_whole_model_has_the_learning_rate_of_its_epoch(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    schedule = {"kind": "table", "rates": [[0, 0.5], [1, 0.25]]}
    callbacks = [
        {"class_name": "LearningRateScheduler", "config": {"schedule": schedule}}, checkpoint("{epoch}.keras")
    ]  # fmt: skip
    trained = train(make_spec(callbacks=callbacks, fit={"epochs": 2, "batch_size": 64}))
    loaded = [keras.models.load_model(trained.path_of(f"{epoch}.keras")) for epoch in (1, 2)]
    assert [float(model.optimizer.learning_rate) for model in loaded] == [0.5, 0.25]
    assert [int(model.optimizer.iterations) for model in loaded] == [0, 0], "its state is saved on request only"


def test_a_whole_model_with_its_optimizer_can_continue(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    trained = train(make_spec(callbacks=[checkpoint("model.keras", include_optimizer=True)]))
    loaded = keras.models.load_model(trained.path_of("model.keras"))
    assert int(loaded.optimizer.iterations) == 2 * 23


@pytest.mark.parametrize(("period", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), (5, [5]), (6, [])])
def test_period_is_every_nth_epoch(
    period: int, epochs: list[int], make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    callback = checkpoint("{epoch}.weights.h5", save_weights_only=True, period=period)
    trained = train(make_spec(callbacks=[callback], fit={"epochs": 5, "batch_size": 512}))
    names = [name for written in trained.checkpoints for name in written.names if name not in ("best", "last")]
    assert names == [f"{epoch}.weights.h5" for epoch in epochs]


def test_save_freq_saves_within_an_epoch(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    callback = checkpoint("{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=10, save_best_only=True)
    trained = train(make_spec(callbacks=[callback], fit={"epochs": 1, "batch_size": 64}))
    within = [(written.names, written.epoch, written.batch) for written in trained.checkpoints if written.batch]
    assert within == [(["1-10.weights.h5"], 1, 10), (["1-20.weights.h5"], 1, 20)]


def test_last_is_the_model_as_fit_left_it(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    """EarlyStopping restores the best weights at the end of training."""
    restoring = {
        "class_name": "EarlyStopping",
        "config": {"monitor": "accuracy", "mode": "min", "patience": 3, "restore_best_weights": True},
    }
    trained = train(make_spec(callbacks=[restoring, checkpoint("{epoch}.weights.h5", save_weights_only=True)]))
    spec = read_job(make_spec())
    first, last = build_model(spec.model), build_model(spec.model)
    first.load_weights(trained.path_of("1.weights.h5"))
    last.load_weights(trained.path_of("last"))
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), last.get_weights(), strict=True))


def test_a_checkpoint_that_cannot_be_written_fails_the_job(
    make_spec: Callable[..., Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    trained = train(make_spec(), work_dir=str(tmp_path / "gone"))
    assert trained.outcome.reason is Reason.STORAGE_FAILED
    assert "could not be written" in trained.outcome.message


@pytest.mark.parametrize("validation_freq", [5, [7]])
def test_best_follows_the_loss_if_no_epoch_is_validated(
    validation_freq: int | list[int], make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    data = {"dataset": "digits", "x": "x_train", "y": "y_train", "validation": {"x": "x_test", "y": "y_test"}}
    trained = train(make_spec(data=data, fit={"epochs": 2, "validation_freq": validation_freq}))
    best = [written for written in trained.checkpoints if "best" in written.names][-1]
    assert best.monitor == "loss"
    assert trained.path_of("best").exists()
