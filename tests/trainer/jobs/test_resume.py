"""A training that was left and goes on in another process ends as one that was never disturbed, to the last bit."""

from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import pytest

from tests.trainer.jobs.conftest import DENSE
from workers.shared.protocol import ArtifactWritten, CheckpointWritten, Resumed, SnapshotWritten

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
    "a recurrent state": {
        "model": sequential(layer("LSTM", units=6, stateful=True, dropout=0.2), *HEAD, shape=(3, 8, 8)),
        "fit": {"epochs": 3, "batch_size": 3, "shuffle": False, "steps_per_epoch": 9},
    },
    "averages": {
        "compile": compiled(adam(use_ema=True, ema_overwrite_frequency=3)),
        "callbacks": [],
    },
    "averages that are swapped": {
        "compile": compiled(adam(use_ema=True)),
        "callbacks": [{"class_name": "SwapEMAWeights", "config": {"swap_on_epoch": True}}],
    },
    "gradients accumulated over epochs": {"compile": compiled(adam(gradient_accumulation_steps=4))},
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
    "epochs that go on in the data": {"fit": {**SHUFFLED, "steps_per_epoch": 4}},
    "several steps an execution": {"compile": compiled(adam(), steps_per_execution=2)},
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
MIRRORED = ["dropout, noise, batch normalization", "three callbacks", "averages that are swapped", "mixed_float16"]


@pytest.fixture(scope="module")
def undisturbed(train: Train, make_spec: MakeSpec) -> Callable[[str, int], tuple[dict[str, Any], Any]]:
    """What a job says to its child, and how it went; with a snapshot after each batch. Each job is trained once."""
    known: dict[tuple[str, int], tuple[dict[str, Any], Any]] = {}

    def get(name: str, devices: int) -> tuple[dict[str, Any], Any]:
        if (name, devices) not in known:
            spec = make_spec(**{"model": DENSE, "fit": {**SHUFFLED, "epochs": 3}, **JOBS[name]})
            start = {"spec": spec, "snapshot_seconds": 0, "cpu_devices": devices}
            trained = train(**start)
            assert places(trained), (trained.said, trained.lines)
            known[name, devices] = start, trained
        return known[name, devices]

    return get


def places(trained: Any) -> list[SnapshotWritten]:
    return trained.of(SnapshotWritten)


def files(trained: Any, after: SnapshotWritten | None = None) -> dict[str, tuple[int, str]]:
    """What each name points to at the end; only of what was saved after a snapshot was announced, if one is given."""
    said = trained.said[trained.said.index(after) + 1 :] if after is not None else trained.said
    written = [event for event in said if isinstance(event, CheckpointWritten)]
    return {name: (event.epoch, event.sha256) for event in written for name in event.names}


def check_resumed(job: tuple[dict[str, Any], Any], snapshot: SnapshotWritten, train: Train) -> None:
    start, whole = job
    rest = train(**start, snapshot=str(whole.directory / snapshot.file))
    [resumed] = rest.of(Resumed)
    assert (resumed.epoch, resumed.step, resumed.differences) == (snapshot.epoch, snapshot.step, [])
    timeless = {"seconds": 0.0}
    expected = [epoch.model_copy(update=timeless) for epoch in whole.epochs if epoch.epoch > snapshot.epoch]
    assert [epoch.model_copy(update=timeless) for epoch in rest.epochs] == expected
    assert rest.ending == whole.ending
    assert files(rest).items() >= files(whole, after=snapshot).items()
    if "TensorBoard" not in str(start):  # its files carry the time
        ends = [[one.sha256 for one in places(each)[-1:] if one != snapshot] for each in (rest, whole)]
        assert ends[0] == ends[1]


@pytest.mark.parametrize(("name", "devices"), [*((name, 1) for name in JOBS), *((name, 2) for name in MIRRORED)])
def test_going_on_from_here_and_there(name: str, devices: int, undisturbed: Any, train: Train) -> None:
    job = undisturbed(name, devices)
    all_places = places(job[1])
    for place in sorted({0, len(all_places) // 2, len(all_places) - 1}):
        check_resumed(job, all_places[place], train)


def test_the_files_of_callbacks_go_on(undisturbed: Any, train: Train) -> None:
    start, whole = undisturbed("files of callbacks", 1)
    snapshot = places(whole)[8]
    rest = train(**start, snapshot=str(whole.directory / snapshot.file))
    table, expected = (
        one.directory.joinpath(of_name(one, "log.csv").file).read_text().splitlines() for one in (rest, whole)
    )
    assert table == expected
    assert len(table) == 4
    with ZipFile(rest.directory / of_name(rest, "board.zip").file) as board:
        events = [name for name in board.namelist() if "train/events.out" in name]
    assert len(events) == 2  # what the first attempt wrote, and the second's


def of_name(trained: Any, name: str) -> ArtifactWritten:
    [found] = [one for one in trained.of(ArtifactWritten) if one.name == name]
    return found


def test_going_on_after_each_batch(undisturbed: Any, train: Train) -> None:
    job = undisturbed("dropout, noise, batch normalization", 1)
    assert len(places(job[1])) == 18
    for snapshot in places(job[1]):
        check_resumed(job, snapshot, train)
