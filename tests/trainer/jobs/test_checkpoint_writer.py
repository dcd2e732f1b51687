"""Which checkpoints the writer writes, and which it drops for newer ones."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.reports import Position
from workers.trainer.checkpoint_writer import CheckpointWriter, WriteRequest
from workers.trainer.checkpoints import CheckpointFiles, WriteFailed, is_caused_by_disk
from workers.trainer.shadow_model import make_shadow_model

SECONDS = 120.0


class SlowDisk(CheckpointFiles):
    """Blocks until it may write. Then it records each epoch, its names, and the weight that would be in the file."""

    def __init__(self, shadow_model: keras.Model) -> None:
        self.may_write, self.was_called = Event(), Event()
        self.written: list[tuple[int, list[str], float]] = []
        self._shadow_model = shadow_model
        self.fails = False

    def write(
        self,
        position: Position,
        logs: Mapping[str, float],
        format: Any,
        names: list[str],
        save: Callable[[str], object],
    ) -> None:
        self.was_called.set()
        assert self.may_write.wait(SECONDS)
        if self.fails:
            raise WriteFailed("no space")
        self.written.append((position.epoch, names, float(self._shadow_model.get_weights()[0][0, 0])))


@pytest.fixture
def shadow_model() -> keras.Model:
    return keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])


@pytest.fixture
def disk(shadow_model: keras.Model) -> SlowDisk:
    return SlowDisk(shadow_model)


@pytest.fixture
def writer(shadow_model: keras.Model, disk: SlowDisk) -> Iterator[CheckpointWriter]:
    yield CheckpointWriter(shadow_model, disk)
    disk.may_write.set()


def request(epoch: int, *names: str) -> WriteRequest:
    """Return the request for a checkpoint after an epoch, whose only weight is the number of the epoch."""
    return WriteRequest(Position(epoch), {}, "weights.h5", list(names), [np.full((1, 1), float(epoch))])


def test_best_and_last_of_short_epochs_share_files(writer: CheckpointWriter, disk: SlowDisk) -> None:
    writer.submit(request(1, "best", "last"))
    assert disk.was_called.wait(SECONDS)
    for epoch in range(2, 100):
        writer.submit(request(epoch, *(["best", "last"] if epoch == 50 else ["last"])))
    disk.may_write.set()
    writer.close()
    assert disk.written == [(1, ["best", "last"], 1.0), (50, ["best"], 50.0), (99, ["last"], 99.0)]


def test_a_checkpoint_of_a_model_checkpoint_is_always_written(writer: CheckpointWriter, disk: SlowDisk) -> None:
    disk.may_write.set()
    for epoch in range(1, 6):
        writer.submit(request(epoch, f"e{epoch}", "best", "last"))
    writer.close()
    assert [(epoch, names[0], value) for epoch, names, value in disk.written] == [
        (epoch, f"e{epoch}", float(epoch)) for epoch in range(1, 6)
    ]
    assert disk.written[-1][1] == ["e5", "best", "last"]


def test_training_waits_for_a_slow_disk(writer: CheckpointWriter, disk: SlowDisk) -> None:
    """While one checkpoint is written and two wait, the fourth blocks."""
    is_next_to_block = Event()

    def submit_four() -> None:
        for epoch in range(1, 4):
            writer.submit(request(epoch, f"e{epoch}"))
        is_next_to_block.set()
        writer.submit(request(4, "e4"))

    thread = Thread(target=submit_four)
    thread.start()
    assert is_next_to_block.wait(SECONDS)
    thread.join(0.1)
    assert thread.is_alive()
    disk.may_write.set()
    thread.join(SECONDS)
    writer.close()
    assert [epoch for epoch, *_ in disk.written] == [1, 2, 3, 4]


def test_a_failure_is_raised_in_the_training(writer: CheckpointWriter, disk: SlowDisk) -> None:
    disk.fails = True
    disk.may_write.set()
    writer.submit(request(1, "e1"))
    with pytest.raises(WriteFailed, match="no space"):
        writer.close()
    with pytest.raises(WriteFailed, match="no space"):
        writer.submit(request(2, "e2"))


def test_an_incomplete_file_is_deleted(tmp_path: Path) -> None:
    emitted: list[Any] = []

    def write_half(path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    files = CheckpointFiles(tmp_path, emitted.append, "loss")
    with pytest.raises(WriteFailed, match=r"epoch 3 could not be written: .*No space left"):
        files.write(Position(3), {}, "keras", ["last"], write_half)
    assert list(tmp_path.iterdir()) == []
    assert emitted == []


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError(5, "Input/output error"), True),
        (RuntimeError("Unable to write (errno = 28, error message = 'No space left on device')"), True),
        (PermissionError(13, "Permission denied"), False),
        (ValueError("A layer cannot be serialized."), False),
    ],
)
def test_whether_the_disk_is_to_blame_for_a_file_that_could_not_be_written(
    error: Exception, is_outage: bool, tmp_path: Path
) -> None:
    def fail(path: str) -> None:
        raise error

    with pytest.raises(WriteFailed) as raised:
        CheckpointFiles(tmp_path, lambda _: None, "loss").write(Position(1), {}, "keras", ["last"], fail)
    assert raised.value.is_outage == is_outage


def test_a_disk_without_room_is_to_blame_whatever_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert is_caused_by_disk(RuntimeError("Can't write data"), tmp_path)


def test_a_file_has_its_name_when_it_is_reported(tmp_path: Path) -> None:
    contents: list[tuple[str, bytes]] = []

    def read_reported(message: Any) -> None:
        contents.append((message.file, (tmp_path / message.file).read_bytes()))

    files = CheckpointFiles(tmp_path, read_reported, "loss")
    for content in (b"one", b"two"):
        position = Position(0, 2)
        files.write(position, {}, "keras", ["a"], lambda path, bytes=content: Path(path).write_bytes(bytes))
    assert contents == [("000001.keras", b"one"), ("000002.keras", b"two")]


def test_the_shadow_model_does_not_change_the_random_numbers_of_the_training() -> None:
    def build() -> keras.Model:
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])

    keras.utils.set_random_seed(1)
    model = build()
    expected = keras.layers.Dense(2).kernel_initializer.seed
    keras.utils.set_random_seed(1)
    model = build()
    make_shadow_model(build, model)
    assert keras.layers.Dense(2).kernel_initializer.seed == expected
