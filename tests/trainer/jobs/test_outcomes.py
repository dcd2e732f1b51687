"""How a job ends that is not stopped."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.reports import Position
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
def make_dataset(tmp_path: Path) -> Callable[..., tuple[str, Callable[[str], DatasetInfo]]]:
    """Return a function that makes a data set; it returns its path, and a function that finds it for the parser."""

    def make(**arrays: Any) -> tuple[str, Callable[[str], DatasetInfo]]:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in arrays.items()}
        return str(path), lambda name: DatasetInfo(name, infos)

    return make


def test_all_epochs_are_trained(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec())
    assert (trained.outcome.reason, trained.outcome.message) == (Reason.COMPLETED, "All 2 epochs were trained.")
    assert trained.exit_code == 0
    assert [event.phase for event in trained.events_of(PhaseChanged)] == list(Phase)


def test_the_first_step_is_reported_at_once(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(fit={"epochs": 20, "batch_size": 64}))
    first, *rest = trained.events_of(Progress)
    assert (first.position, first.steps) == (Position(0, 1), 23)
    seconds = sum(epoch.seconds for epoch in trained.epochs)
    assert len(rest) <= 2 * seconds + 1


def test_the_log_has_the_lines_of_keras_but_not_of_tensorflow(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    lines = train(make_spec()).lines
    assert [line for line in lines if "Epoch" in line] == ["Epoch 1/2", "Epoch 2/2"]
    assert [line[:5] for line in lines if "loss:" in line] == ["23/23", "23/23"]
    assert len(lines) == 4


def test_a_job_with_verbose_0_prints_nothing(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    assert train(make_spec(fit={"epochs": 1, "verbose": 0})).lines == []


def test_a_loss_that_is_not_finite(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(**EXPLODING))
    assert trained.outcome.reason is Reason.NAN_LOSS
    assert len(trained.epochs) == 1


@pytest.mark.parametrize("callbacks", [[], [{"class_name": "TerminateOnNaN", "config": {"raise_error": True}}]])
@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ({"x": "x_nan"}, "'x_nan' has NaN in 1 of 1,280 values"),
        ({"y": "y_bad"}, "'y_bad' has NaN in 2 and infinity in 1 of 20 values"),
        ({"sample_weight": "w_nan"}, "'w_nan' has NaN in 1 of 20 values"),
        ({"x": {"flatten": "x_nan"}, "y": "y_bad"},
         "'x_nan' has NaN in 1 of 1,280 values; 'y_bad' has NaN in 2 and infinity in 1 of 20 values"),
    ],
)  # fmt: skip
def test_data_that_is_not_finite_is_named(
    data: Any, cause: str, callbacks: Any, make_spec: Callable[..., Any], train: Callable[..., Any],
    make_dataset: Callable[..., Any],
) -> None:  # fmt: skip
    x, y, weights = np.ones((20, 8, 8), "float32"), np.ones((20, 1), "float32"), np.ones(20, "float32")
    x_nan, y_bad, w_nan = x.copy(), y.copy(), weights.copy()
    x_nan[5, 2, 2] = y_bad[:2] = w_nan[3] = np.nan
    y_bad[2] = -np.inf
    path, find = make_dataset(x=x, y=y, x_nan=x_nan, y_bad=y_bad, w_nan=w_nan)
    layers = [
        {"class_name": "InputLayer", "config": {"shape": [8, 8], "name": "flatten"}},
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Dense", "config": {"units": 1}},
    ]
    spec = make_spec(
        find,
        model={"class_name": "Sequential", "config": {"layers": layers}},
        compile={"optimizer": "sgd", "loss": "mse"},
        data={"dataset": "mine", "x": "x", "y": "y", **data},
        callbacks=callbacks,
    )
    outcome = train(spec, dataset_path=path).outcome
    assert outcome.reason is Reason.NAN_LOSS
    assert outcome.message.endswith(f" The data is the cause: {cause}.")


def test_data_that_is_finite_is_not_blamed(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    assert "data" not in train(make_spec(**EXPLODING)).outcome.message


@pytest.mark.parametrize("raise_error", [False, True])
def test_terminate_on_nan(raise_error: bool, make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    callback = {"class_name": "TerminateOnNaN", "config": {"raise_error": raise_error}}
    trained = train(make_spec(**EXPLODING, callbacks=[callback]))
    assert trained.outcome.reason is Reason.NAN_LOSS
    assert len(trained.epochs) < 2


def test_nan_is_never_the_best(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    trained = train(make_spec(**EXPLODING))
    best = [written for written in trained.checkpoints if "best" in written.names]
    assert all(written.value == written.value for written in best)


def test_labels_that_one_hot_has_no_place_for(
    make_spec: Callable[..., Any], train: Callable[..., Any], make_dataset: Callable[..., Any]
) -> None:
    path, find = make_dataset(x=np.zeros((20, 8, 8), "float32"), y=np.full(20, 12, "uint8"))
    data = {"dataset": "mine", "x": "x", "y": "y", "prepare": {"y": [{"one_hot": 10}]}}
    spec = make_spec(find, data=data, compile={"optimizer": "adam", "loss": "categorical_crossentropy"})
    outcome = train(spec, dataset_path=path).outcome
    assert outcome.reason is Reason.INVALID_DATA
    assert "the labels go from 12 to 12, but one_hot accepts 0 to 9" in outcome.message


def test_data_that_does_not_match_the_loss(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    outcome = train(make_spec(compile={"optimizer": "adam", "loss": "categorical_crossentropy"})).outcome
    assert outcome.reason is Reason.INVALID_DATA
    assert "shape" in outcome.message
    assert "\x1b" not in outcome.message


def test_a_message_of_tensorflow_comes_without_its_stack(
    make_spec: Callable[..., Any], train: Callable[..., Any]
) -> None:
    """The labels are single numbers, but the model has ten outputs for each sample."""
    compile_spec = {"optimizer": "adam", "loss": "mean_squared_error"}
    outcome = train(make_spec(compile=compile_spec)).outcome
    assert outcome.reason is Reason.INVALID_DATA
    assert "shapes" in outcome.message
    assert "/" not in outcome.message
    assert "\n" not in outcome.message


def test_a_data_set_that_no_longer_exists(
    make_spec: Callable[..., Any], train: Callable[..., Any], make_dataset: Callable[..., Any], tmp_path: Path
) -> None:
    _, find = make_dataset(x=np.zeros((20, 8, 8), "float32"), y=np.zeros(20, "uint8"))
    spec = make_spec(find, data={"dataset": "mine", "x": "x", "y": "y"})
    outcome = train(spec, dataset_path=str(tmp_path / "gone.npz")).outcome
    assert outcome.reason is Reason.INVALID_DATA
    assert "cannot be read" in outcome.message


def test_a_pickle_in_a_data_set_is_not_loaded(
    make_spec: Callable[..., Any], train: Callable[..., Any], make_dataset: Callable[..., Any]
) -> None:
    _, find = make_dataset(x=np.zeros((2, 8, 8), "float32"), y=np.zeros(2, "uint8"))
    spec = make_spec(find, data={"dataset": "mine", "x": "x", "y": "y"})
    path, _ = make_dataset(x=np.array([{"anything": 1}, None], dtype=object), y=np.zeros(2, "uint8"))
    outcome = train(spec, dataset_path=path).outcome
    assert outcome.reason is Reason.INVALID_DATA
    assert "pickle" in outcome.message


def test_a_model_that_keras_cannot_build(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
        {"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": [3, 3]}},
    ]
    outcome = train(make_spec(model={"class_name": "Sequential", "config": {"layers": layers}})).outcome
    assert outcome.reason is Reason.INVALID_MODEL
    assert "layer 1, Conv2D" in outcome.message


def test_a_model_that_needs_too_much_memory(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Dense", "config": {"units": 2_000_000_000}},
        {"class_name": "Dense", "config": {"units": 2_000_000_000}},
    ]
    outcome = train(make_spec(model={"class_name": "Sequential", "config": {"layers": layers}})).outcome
    assert outcome.reason is Reason.OUT_OF_MEMORY


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a full disk."""
    disk = SmallDisk(tmp_path / "disk")
    if not disk.can_be_filled:
        assert "CI" not in os.environ
        pytest.skip("only root can mount a small disk")
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
def test_a_disk_that_is_full_for_a_callback_is_a_failure_of_the_storage(
    callback: dict[str, Any], full_disk: Path, make_spec: Callable[..., Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    target = Path("/dev/full") if callback["class_name"] == "CSVLogger" else full_disk
    (tmp_path / "work" / "artifact-0").symlink_to(target)
    outcome = train(make_spec(callbacks=[callback]), work_dir=str(tmp_path / "work")).outcome
    assert outcome.reason is Reason.STORAGE_FAILED
    assert "No space left on device" in outcome.message
