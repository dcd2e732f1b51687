"""A training that resumes in another process ends like one that was never interrupted, to the last bit."""

from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import pytest

from fitqueue.reports import ArtifactWritten, CheckpointWritten, EpochEnded, SnapshotWritten
from tests.trainer.jobs.conftest import DENSE
from workers.shared.protocol import Resumed

Train = Callable[..., Any]
MakeSpec = Callable[..., dict[str, Any]]


def sequential(*layers: dict[str, Any], shape: tuple[int | None, ...] = (None, 8, 8)) -> dict[str, Any]:
    return {
        "class_name": "Sequential",
        "config": {
            "layers": [{"class_name": "InputLayer", "config": {"batch_shape": list(shape)}}, *layers],
        },
    }


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


HEAD = (layer("Flatten"), layer("Dense", units=10, activation="softmax"))
CALLBACKS = [
    {"class_name": "EarlyStopping", "config": {
        "monitor": "loss", "patience": 2, "min_delta": 0.05, "restore_best_weights": True}},
    {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "patience": 1, "min_delta": 0.2, "cooldown": 1}},
    {"class_name": "ModelCheckpoint", "config": {
        "filepath": "e{epoch:02d}-{loss:.4f}.weights.h5", "monitor": "loss", "save_best_only": True,
        "save_weights_only": True}},
]  # fmt: skip


def compiled(optimizer: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **more}


def adam(**config: Any) -> dict[str, Any]:
    return {"class_name": "Adam", "config": {"learning_rate": 0.01, **config}}


SHUFFLED = {"epochs": 6, "batch_size": 256, "shuffle": True}
JOBS: dict[str, dict[str, Any]] = {
    "dropout, noise, batch normalization": {
        "model": sequential(
            layer("GaussianNoise", stddev=0.1), layer("BatchNormalization"), layer("Dropout", rate=0.3), *HEAD
        ),
        "compile": compiled(adam()),
    },
    "batch renormalization, averages in an inner optimizer": {
        "model": sequential(layer("BatchNormalization", renorm=True, renorm_clipping={"rmax": 2, "dmax": 1}), *HEAD),
        "compile": compiled(layer("LossScaleOptimizer", inner_optimizer=adam(use_ema=True))),
        "callbacks": [{"class_name": "SwapEMAWeights", "config": {"swap_on_epoch": True}}],
    },
    "augmentation": {
        "model": sequential(
            layer("Reshape", target_shape=[8, 8, 1]),
            layer("RandomFlip"),
            layer("RandomRotation", factor=0.1),
            layer("RandomTranslation", height_factor=0.1, width_factor=0.1),
            *HEAD,
        )
    },
    "three callbacks": {"callbacks": CALLBACKS, "fit": {**SHUFFLED, "epochs": 30}},
    "layers that learn before the training": {
        "model": sequential(
            layer("Normalization"), layer("Discretization", num_bins=5), layer("Rescaling", scale=0.2), *HEAD
        )
    },
    "a recurrent state": {
        "model": sequential(layer("LSTM", units=6, stateful=True, dropout=0.2), *HEAD, shape=(3, 8, 8)),
        "fit": {"epochs": 3, "batch_size": 3, "shuffle": False, "steps_per_epoch": 9},
    },
    "averaged weights": {
        "compile": compiled(adam(use_ema=True, ema_overwrite_frequency=3)),
        "callbacks": [],
    },
    "averaged weights that are swapped in": {
        "compile": compiled(adam(use_ema=True)),
        "callbacks": [{"class_name": "SwapEMAWeights", "config": {"swap_on_epoch": True}}],
    },
    "gradients accumulated across epochs": {"compile": compiled(adam(gradient_accumulation_steps=4))},
    "mixed_float16": {"compile": compiled(adam(), dtype_policy="mixed_float16")},
    "bfloat16": {"compile": compiled(adam(), dtype_policy="bfloat16")},
    "a schedule": {
        "compile": compiled(
            {"class_name": "SGD", "config": {"momentum": 0.9, "learning_rate": {
                "class_name": "ExponentialDecay",
                "config": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.9}}}}
        ),
    },
    "a scheduling callback": {
        "callbacks": [{"class_name": "LearningRateScheduler", "config": {
            "schedule": {"kind": "exponential", "factor": 0.7}}}],
    },
    "epochs that continue in the data": {"fit": {**SHUFFLED, "steps_per_epoch": 4}},
    "several steps per execution": {"compile": compiled(adam(), steps_per_execution=2)},
    "files of callbacks": {
        "callbacks": [
            {"class_name": "CSVLogger", "config": {"filename": "log.csv"}},
            {"class_name": "TensorBoard", "config": {"log_dir": "board"}},
        ],
    },
    "checkpoints within an epoch": {
        "callbacks": [{"class_name": "ModelCheckpoint", "config": {
            "filepath": "e{epoch:02d}-b{batch:03d}.weights.h5", "save_freq": 4, "save_weights_only": True}}],
    },
}  # fmt: skip
MIRRORED = [
    "dropout, noise, batch normalization",
    "three callbacks",
    "averaged weights that are swapped in",
    "mixed_float16",
]


@pytest.fixture(scope="module")
def train_once(train: Train, make_spec: MakeSpec) -> Callable[[str, int], tuple[dict[str, Any], Any]]:
    """Return a function that trains a job with a snapshot after each batch, and returns its start and its result."""
    results: dict[tuple[str, int], tuple[dict[str, Any], Any]] = {}

    def get(name: str, devices: int) -> tuple[dict[str, Any], Any]:
        if (name, devices) not in results:
            spec = make_spec(**{"model": DENSE, "fit": {**SHUFFLED, "epochs": 3}, **JOBS[name]})
            start = {"spec": spec, "snapshot_seconds": 0, "cpu_devices": devices}
            trained = train(**start)
            assert snapshots_of(trained), (trained.events, trained.lines)
            results[name, devices] = start, trained
        return results[name, devices]

    return get


def snapshots_of(trained: Any) -> list[SnapshotWritten]:
    return trained.events_of(SnapshotWritten)


def checkpoints_by_name(*trainings: Any, after: SnapshotWritten | None = None) -> dict[str, tuple[int, str]]:
    """Return the epoch and SHA-256 of the last checkpoint with each name, of those reported after a snapshot."""
    events = [event for trained in trainings for event in trained.events]
    if after is not None:
        events = events[events.index(after) + 1 :]
    written = [event for event in events if isinstance(event, CheckpointWritten)]
    return {name: (checkpoint.epoch, checkpoint.sha256) for checkpoint in written for name in checkpoint.names}


def check_resumed(job: tuple[dict[str, Any], Any], snapshot: SnapshotWritten, train: Train) -> None:
    start, whole = job
    rest = train(**start, snapshot=str(whole.directory / snapshot.file))
    [resumed] = rest.events_of(Resumed)
    assert (resumed.position, resumed.differences) == (snapshot.position, [])
    expected = [epoch for epoch in epochs_without_time(whole) if epoch.epoch > snapshot.position.epoch]
    assert epochs_without_time(rest) == expected
    assert rest.outcome == whole.outcome
    assert checkpoints_by_name(rest).items() >= checkpoints_by_name(whole, after=snapshot).items()
    if "TensorBoard" not in str(start):  # its files contain times
        resumed_last, whole_last = (
            [written.sha256 for written in snapshots_of(trained)[-1:] if written != snapshot]
            for trained in (rest, whole)
        )
        assert resumed_last == whole_last


def epochs_without_time(*trainings: Any) -> list[EpochEnded]:
    """Return the reported epochs, as if they had taken no time."""
    return [epoch.model_copy(update={"seconds": 0.0}) for trained in trainings for epoch in trained.epochs]


@pytest.mark.parametrize(("name", "devices"), [*((name, 1) for name in JOBS), *((name, 2) for name in MIRRORED)])
def test_a_job_resumes_from_several_positions(name: str, devices: int, train_once: Any, train: Train) -> None:
    job = train_once(name, devices)
    snapshots = snapshots_of(job[1])
    for index in sorted({0, len(snapshots) // 2, len(snapshots) - 1}):
        check_resumed(job, snapshots[index], train)


def test_callbacks_continue_their_files(train_once: Any, train: Train) -> None:
    start, whole = train_once("files of callbacks", 1)
    snapshot = snapshots_of(whole)[8]
    rest = train(**start, snapshot=str(whole.directory / snapshot.file))
    table, expected = (
        trained.directory.joinpath(artifact(trained, "log.csv").file).read_text().splitlines()
        for trained in (rest, whole)
    )
    assert table == expected
    assert len(table) == 4
    with ZipFile(rest.directory / artifact(rest, "board.zip").file) as board:
        events = [name for name in board.namelist() if "train/events.out" in name]
    assert len(events) == 2  # those of the first attempt and of the second


def artifact(trained: Any, name: str) -> ArtifactWritten:
    [written] = [written for written in trained.events_of(ArtifactWritten) if written.name == name]
    return written


def test_a_job_resumes_after_each_batch(train_once: Any, train: Train) -> None:
    job = train_once("dropout, noise, batch normalization", 1)
    assert len(snapshots_of(job[1])) == 18
    for snapshot in snapshots_of(job[1]):
        check_resumed(job, snapshot, train)
