"""How a job ends that nobody stops."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.states import Phase, Reason
from tests.small_disk import SmallDisk
from workers.shared.protocol import PhaseChanged, Progress

EXPLODING = {
    "compile": {
        "optimizer": {"class_name": "SGD", "config": {"learning_rate": 1e30}},
        "loss": "mean_squared_error",
    },
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train", "prepare": {"y": [{"one_hot": 10}]}},
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
                {"class_name": "Flatten", "config": {}},
                {"class_name": "Dense", "config": {"units": 10}},
            ]
        },
    },
}


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., tuple[str, Callable[[str], DatasetInfo]]]:
    """A user's data set: its path, and how the parser finds it."""

    def make(**arrays: Any) -> tuple[str, Callable[[str], DatasetInfo]]:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in arrays.items()}
        return str(path), lambda name: DatasetInfo(name, infos)

    return make


def test_all_epochs(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec())
    assert (trained.ending.reason, trained.ending.message) == (Reason.COMPLETED, "All 2 epochs were trained.")
    assert trained.exit_code == 0
    assert [event.phase for event in trained.of(PhaseChanged)] == list(Phase)


def test_the_first_step_is_told_at_once(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(fit={"epochs": 20, "batch_size": 64}))
    first, *rest = trained.of(Progress)
    assert (first.epoch, first.step, first.steps) == (1, 1, 23)
    seconds = sum(epoch.seconds for epoch in trained.epochs)
    assert len(rest) <= 2 * seconds + 1


def test_keras_lines_are_the_jobs_log_and_tensorflows_are_not(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    lines = train(make_spec()).lines
    assert [line for line in lines if "Epoch" in line] == ["Epoch 1/2", "Epoch 2/2"]
    assert [line[:5] for line in lines if "loss:" in line] == ["23/23", "23/23"]
    assert len(lines) == 4


def test_a_job_may_be_silent(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    assert train(make_spec(fit={"epochs": 1, "verbose": 0})).lines == []


def test_a_loss_that_is_not_finite(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(**EXPLODING))
    assert trained.ending.reason is Reason.NAN_LOSS
    assert len(trained.epochs) == 1


@pytest.mark.parametrize("raise_error", [False, True])
def test_terminate_on_nan(raise_error: bool, make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    watching = {"class_name": "TerminateOnNaN", "config": {"raise_error": raise_error}}
    trained = train(make_spec(**EXPLODING, callbacks=[watching]))
    assert trained.ending.reason is Reason.NAN_LOSS
    assert len(trained.epochs) < 2


def test_nan_is_never_the_best(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(**EXPLODING))
    bests = [written for written in trained.checkpoints if "best" in written.names]
    assert all(written.value == written.value for written in bests)


def test_labels_that_do_not_fit_one_hot(
    make_spec: Callable[..., Any], train: Callable[..., Any], npz: Callable[..., Any]
) -> None:
    path, find = npz(x=np.zeros((20, 8, 8), "float32"), y=np.full(20, 12, "uint8"))
    data = {"dataset": "mine", "x": "x", "y": "y", "prepare": {"y": [{"one_hot": 10}]}}
    spec = make_spec(find, data=data, compile={"optimizer": "adam", "loss": "categorical_crossentropy"})
    ending = train(spec, dataset_path=path).ending
    assert ending.reason is Reason.INVALID_DATA
    assert "labels go from 12 to 12; one_hot takes 0 to 9" in ending.message


def test_data_that_does_not_fit_the_loss(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    ending = train(make_spec(compile={"optimizer": "adam", "loss": "categorical_crossentropy"})).ending
    assert ending.reason is Reason.INVALID_DATA
    assert "shape" in ending.message
    assert "\x1b" not in ending.message


def test_what_tensorflow_finds_is_told_without_its_insides(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    """The labels go to 9, and the model knows 5 classes."""
    compile_spec = {"optimizer": "adam", "loss": "mean_squared_error"}
    ending = train(make_spec(compile=compile_spec)).ending
    assert ending.reason is Reason.INVALID_DATA
    assert "shapes" in ending.message
    assert "/" not in ending.message
    assert "\n" not in ending.message


def test_a_data_set_that_is_gone(
    make_spec: Callable[..., Any], train: Callable[..., Any], npz: Callable[..., Any], tmp_path: Path
) -> None:
    _, find = npz(x=np.zeros((20, 8, 8), "float32"), y=np.zeros(20, "uint8"))
    spec = make_spec(find, data={"dataset": "mine", "x": "x", "y": "y"})
    ending = train(spec, dataset_path=str(tmp_path / "gone.npz")).ending
    assert ending.reason is Reason.INVALID_DATA
    assert "cannot be read" in ending.message


def test_a_pickle_in_a_data_set_is_not_opened(
    make_spec: Callable[..., Any], train: Callable[..., Any], npz: Callable[..., Any]
) -> None:
    _, find = npz(x=np.zeros((2, 8, 8), "float32"), y=np.zeros(2, "uint8"))
    spec = make_spec(find, data={"dataset": "mine", "x": "x", "y": "y"})
    path, _ = npz(x=np.array([{"anything": 1}, None], dtype=object), y=np.zeros(2, "uint8"))
    ending = train(spec, dataset_path=path).ending
    assert ending.reason is Reason.INVALID_DATA
    assert "pickle" in ending.message


def test_a_model_that_keras_cannot_build(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
        {"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": [3, 3]}},
    ]
    ending = train(make_spec(model={"class_name": "Sequential", "config": {"layers": layers}})).ending
    assert ending.reason is Reason.INVALID_MODEL
    assert "layer 1, Conv2D" in ending.message


def test_a_model_that_fits_into_no_memory(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Dense", "config": {"units": 2_000_000_000}},
        {"class_name": "Dense", "config": {"units": 2_000_000_000}},
    ]
    ending = train(make_spec(model={"class_name": "Sequential", "config": {"layers": layers}})).ending
    assert ending.reason is Reason.OUT_OF_MEMORY


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    disk = SmallDisk(tmp_path / "disk")
    if not disk.can_be_filled:
        assert "CI" not in os.environ
        pytest.skip("a small disk can be mounted by root alone")
    disk.fill()
    yield disk.folder
    disk.close()


@pytest.mark.parametrize(
    "callback",
    [
        {"class_name": "CSVLogger", "config": {"filename": "log.csv"}},
        {"class_name": "TensorBoard", "config": {"log_dir": "logs"}},
    ],
    ids=lambda callback: callback["class_name"],
)
def test_a_callback_that_meets_a_full_disk_is_no_fault_of_the_jobs(
    callback: dict[str, Any], full_disk: Path, make_spec: Callable[..., Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    on_disk = Path("/dev/full") if callback["class_name"] == "CSVLogger" else full_disk
    (tmp_path / "work" / "artifact-0").symlink_to(on_disk)
    ending = train(make_spec(callbacks=[callback]), work_dir=str(tmp_path / "work")).ending
    assert ending.reason is Reason.STORAGE_FAILED
    assert "No space left on device" in ending.message
