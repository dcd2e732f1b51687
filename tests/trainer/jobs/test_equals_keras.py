"""The numbers of a job equal those of a plain Keras script in a process of its own, to the last bit."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.datasets import BUILTIN
from fitqueue.states import Reason

MODEL = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "Input", "config": {"shape": [8, 8, 1]}},
            {"class_name": "Conv2D", "config": {
                "filters": 8, "kernel_size": [3, 3], "activation": "relu", "padding": "same"}},
            {"class_name": "MaxPooling2D", "config": {"pool_size": [2, 2], "strides": 2, "padding": "same"}},
            {"class_name": "BatchNormalization", "config": {}},
            {"class_name": "Flatten", "config": {}},
            {"class_name": "Dropout", "config": {"rate": 0.25}},
            {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
        ]
    },
}  # fmt: skip
JOB: dict[str, Any] = {
    "model": MODEL,
    "compile": {
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
    },
    "data": {
        "dataset": "digits", "x": "x_train", "y": "y_train", "validation": {"x": "x_test", "y": "y_test"},
        "prepare": {"x": [{"reshape": [8, 8, 1]}, {"scale": 0.0625}], "y": [{"one_hot": 10}]},
    },
    "fit": {"epochs": 30, "batch_size": 64, "shuffle": False},
    "callbacks": [
        {"class_name": "EarlyStopping", "config": {"monitor": "val_loss", "min_delta": 0.002, "patience": 4}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "ep{epoch:02d}-{val_loss:.4f}.h5", "monitor": "val_loss",
            "save_best_only": True, "save_weights_only": True}},
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "val_loss", "factor": 0.1, "patience": 2}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def both(
    make_spec: Callable[..., dict[str, Any]], train: Callable[..., Any], run_plain: Callable[..., Any]
) -> tuple[Any, Any]:
    """Return the results of the job and of the script, each run once."""
    job = train(make_spec(**JOB))
    return job, run_plain("digits.py", BUILTIN["digits"].path, job.path_of("best"))


def test_the_histories_are_equal(both: tuple[Any, Any]) -> None:
    job, plain = both
    assert job.history == plain["history"]


def test_early_stopping_stops_at_the_same_epoch(both: tuple[Any, Any]) -> None:
    job, plain = both
    assert len(job.epochs) == len(plain["history"]["loss"]) < JOB["fit"]["epochs"]
    assert job.outcome.reason is Reason.EARLY_STOPPED
    assert job.outcome.message == f"A callback ended the training after epoch {len(job.epochs)}."


def test_the_learning_rate_drops_at_the_same_epochs(both: tuple[Any, Any]) -> None:
    job, plain = both
    rates = [epoch.learning_rate for epoch in job.epochs]
    assert rates == plain["rates"]
    assert len(set(rates)) > 1
    assert [epoch.next_learning_rate for epoch in job.epochs][:-1] == rates[1:]


def test_the_best_epochs_are_the_same(both: tuple[Any, Any]) -> None:
    job, plain = both
    saved = [written.epoch for written in job.checkpoints if any(name.startswith("ep") for name in written.names)]
    best = [written.epoch for written in job.checkpoints if "best" in written.names]
    assert saved == plain["best_epochs"]
    assert best[-1] == plain["best_epochs"][-1]


def test_a_plain_model_loads_the_best_weights_and_they_equal_its_own(both: tuple[Any, Any]) -> None:
    job, plain = both
    assert plain["weights_equal"]
    best = [written for written in job.checkpoints if "best" in written.names][-1]
    assert plain["evaluation"]["accuracy"] == best.logs["val_accuracy"]
    assert best.value == best.logs["val_loss"] == min(job.history["val_loss"])


def test_checkpoints_are_named_by_the_template(both: tuple[Any, Any]) -> None:
    job, _ = both
    for written in job.checkpoints:
        for name in set(written.names) - {"best", "last"}:
            assert name == f"ep{written.epoch:02d}-{written.logs['val_loss']:.4f}.weights.h5"
