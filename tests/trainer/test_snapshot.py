"""Snapshots as files, and what an extension changes in them."""

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from fitqueue.reports import Position
from workers.trainer.snapshot import (
    CallbackState,
    Snapshot,
    SnapshotMismatch,
    SnapshotOutOfReach,
    for_extension,
    read_snapshot,
    write_snapshot,
)

EARLY_STOPPING = CallbackState("EarlyStopping", {"wait": 2, "stopped_epoch": 4, "best": 0.25}, 1)
OTHER = CallbackState("ReduceLROnPlateau", {"wait": 2}, 0)


def snapshot(*, stop_training: bool = True) -> Snapshot:
    return Snapshot(
        position=Position(4, 2),
        stop_training=stop_training,
        arrays=[np.arange(3.0), np.array([1.5, -2.0], ml_dtypes.bfloat16)],
        callbacks=[EARLY_STOPPING, OTHER],
        files={"artifact-0": b"epoch,loss\n"},
        fingerprint={"keras": "3"},
    )


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = snapshot()
    write_snapshot(written, tmp_path / "1.snapshot")
    read = read_snapshot(tmp_path / "1.snapshot")
    assert [array.dtype for array in read.arrays] == [array.dtype for array in written.arrays]
    for array, expected in zip(read.arrays, written.arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert (read.position, read.stop_training, read.callbacks) == (Position(4, 2), True, [EARLY_STOPPING, OTHER])
    assert (read.files, read.fingerprint) == (written.files, written.fingerprint)


@pytest.mark.parametrize("left", [1, 3, 200, -100])
def test_a_part_of_a_snapshot_is_not_read(left: int, tmp_path: Path) -> None:
    path = tmp_path / "1.snapshot"
    write_snapshot(snapshot(), path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(SnapshotMismatch, match="The snapshot cannot be read: "):
        read_snapshot(path)


def test_a_damaged_snapshot_is_not_read(tmp_path: Path) -> None:
    """Whatever NumPy raises: one wrong byte makes an archive encrypted, say, or compressed in an unknown way."""
    path = tmp_path / "1.snapshot"
    write_snapshot(snapshot(), path)
    intact = path.read_bytes()
    for position, value in product(range(len(intact)), (0x00, 0x01, 0x08, 0xFF)):
        path.write_bytes(intact[:position] + bytes([value]) + intact[position + 1 :])
        with suppress(SnapshotMismatch, SnapshotOutOfReach):  # a byte that nobody reads may be wrong
            read_snapshot(path)


@pytest.mark.parametrize("left", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["nothing", "an empty file"])
def test_a_snapshot_that_is_gone_is_not_refused(left: Callable[[Path], None], tmp_path: Path) -> None:
    """The worker has just read it: its disk may have gone away."""
    path = tmp_path / "1.snapshot"
    write_snapshot(snapshot(), path)
    left(path)
    with pytest.raises(SnapshotOutOfReach, match="The snapshot cannot be read: "):
        read_snapshot(path)


def test_a_snapshot_with_other_fields_is_not_read(tmp_path: Path) -> None:
    """Another version may have written it."""
    path = tmp_path / "1.snapshot"
    write_snapshot(snapshot(), path)
    with np.load(path) as file:
        arrays = {**file}
    about = json.loads(arrays["about"].tobytes())
    about["position"]["batch"] = about["position"].pop("step")
    with path.open("wb") as file:
        np.savez(file, **arrays | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    with pytest.raises(SnapshotMismatch, match=r"The snapshot cannot be read: .*'batch'"):
        read_snapshot(path)


def test_an_extension_gives_early_stopping_its_patience_again() -> None:
    extended = for_extension(snapshot())
    assert not extended.stop_training
    assert extended.callbacks[0].attributes == {"wait": 0, "stopped_epoch": 0, "best": 0.25}
    assert extended.callbacks[1] == OTHER


def test_an_extension_of_a_job_that_no_callback_stopped_changes_no_counter() -> None:
    assert for_extension(snapshot(stop_training=False)).callbacks == [EARLY_STOPPING, OTHER]
