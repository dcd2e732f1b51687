"""Which files the writer writes, and which it saves itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import keras
import numpy as np
import pytest

from workers.trainer import checkpoints
from workers.trainer.checkpoints import CheckpointFailed, CheckpointFiles, Moment, Writer, WriteRequest

SECONDS = 20.0


class Disk(CheckpointFiles):
    """Writes nothing until it may; remembers what it wrote, and the weights that the file would have had."""

    def __init__(self, twin: keras.Model) -> None:
        self.may_write, self.asked = Event(), Event()
        self.written: list[tuple[int, list[str], float]] = []
        self._twin = twin
        self.fails = False

    def write(self, moment: Moment, format: Any, names: list[str], save: Callable[[str], object]) -> None:
        self.asked.set()
        assert self.may_write.wait(SECONDS)
        if self.fails:
            raise CheckpointFailed("no space")
        self.written.append((moment.epoch, names, float(self._twin.get_weights()[0][0, 0])))


@pytest.fixture
def twin() -> keras.Model:
    return keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])


@pytest.fixture
def disk(twin: keras.Model) -> Disk:
    return Disk(twin)


@pytest.fixture
def writer(twin: keras.Model, disk: Disk) -> Iterator[Writer]:
    yield Writer(twin, disk)
    disk.may_write.set()


def order(epoch: int, *names: str) -> WriteRequest:
    return WriteRequest(Moment(epoch, None, {}), "weights.h5", list(names), [np.full((1, 1), float(epoch))])


def test_best_and_last_of_short_epochs_become_one_file(writer: Writer, disk: Disk) -> None:
    writer.order(order(1, "best", "last"))
    assert disk.asked.wait(SECONDS)
    for epoch in range(2, 100):
        writer.order(order(epoch, *(["best", "last"] if epoch == 50 else ["last"])))
    disk.may_write.set()
    writer.close()
    assert disk.written == [(1, ["best", "last"], 1.0), (50, ["best"], 50.0), (99, ["last"], 99.0)]


def test_what_a_model_checkpoint_wants_is_always_written(writer: Writer, disk: Disk) -> None:
    disk.may_write.set()
    for epoch in range(1, 6):
        writer.order(order(epoch, f"e{epoch}", "best", "last"))
    writer.close()
    assert [(epoch, names[0], value) for epoch, names, value in disk.written] == [
        (epoch, f"e{epoch}", float(epoch)) for epoch in range(1, 6)
    ]
    assert disk.written[-1][1] == ["e5", "best", "last"]


def test_the_training_waits_for_a_disk_that_is_too_slow(writer: Writer, disk: Disk) -> None:
    """One is being written and two wait; the fourth has to."""
    waits = Event()

    def order_four() -> None:
        for epoch in range(1, 4):
            writer.order(order(epoch, f"e{epoch}"))
        waits.set()
        writer.order(order(4, "e4"))

    thread = Thread(target=order_four)
    thread.start()
    assert waits.wait(SECONDS)
    thread.join(0.1)
    assert thread.is_alive()
    disk.may_write.set()
    thread.join(SECONDS)
    writer.close()
    assert [epoch for epoch, *_ in disk.written] == [1, 2, 3, 4]


def test_a_full_disk_is_told_to_the_training(writer: Writer, disk: Disk) -> None:
    disk.fails = True
    disk.may_write.set()
    writer.order(order(1, "e1"))
    with pytest.raises(CheckpointFailed, match="no space"):
        writer.close()
    with pytest.raises(CheckpointFailed, match="no space"):
        writer.order(order(2, "e2"))


def test_a_file_that_could_not_be_written_whole_is_not_left(tmp_path: Path) -> None:
    said: list[Any] = []

    def half(path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointFailed, match=r"epoch 3 could not be written: .*No space left"):
        CheckpointFiles(tmp_path, said.append, "loss").write(Moment(3, None, {}), "keras", ["last"], half)
    assert list(tmp_path.iterdir()) == []
    assert said == []


def test_a_file_is_announced_when_it_has_its_name(tmp_path: Path) -> None:
    said: list[Any] = []

    def look(message: Any) -> None:
        said.append((message.file, (tmp_path / message.file).read_bytes()))

    files = CheckpointFiles(tmp_path, look, "loss")
    for content in (b"one", b"two"):
        files.write(Moment(1, 2, {}), "keras", ["a"], lambda path, bytes=content: Path(path).write_bytes(bytes))
    assert said == [("000001.keras", b"one"), ("000002.keras", b"two")]


def test_the_twin_does_not_disturb_the_random_numbers_of_the_training() -> None:
    def build() -> keras.Model:
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])

    keras.utils.set_random_seed(1)
    model = build()
    wanted = keras.layers.Dense(2).kernel_initializer.seed
    keras.utils.set_random_seed(1)
    model = build()
    checkpoints.make_shadow_model(build, model)
    assert keras.layers.Dense(2).kernel_initializer.seed == wanted
