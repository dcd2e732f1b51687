"""Writes the files of checkpoints and snapshots: to a temporary file, flushed, renamed, then reported."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

import keras

from fitqueue.fit.weights import add_states
from fitqueue.reports import CheckpointWritten, Message, Position, SnapshotWritten
from workers.keras_tools.npz import Array
from workers.shared.outages import OUTAGE_ERRNOS, is_disk_outage
from workers.shared.paths import WRITING_PREFIX
from workers.trainer.snapshot import Snapshot, write_snapshot

Format = Literal["weights.h5", "keras"]

BEST: Final = "best"
LAST: Final = "last"


_ALMOST_FULL: Final = 64 * 1024
"""Bytes. When less is free, the disk is to blame, whatever the error says."""


class WriteFailed(Exception):
    """A checkpoint, snapshot or artifact could not be written."""

    def __init__(self, message: str, *, is_outage: bool = False) -> None:
        """Create the error; `is_outage` tells whether the disk is to blame, and not the content."""
        super().__init__(message)
        self.is_outage = is_outage


class _WrittenFile(NamedTuple):
    """A file that is complete and on the disk."""

    name: str
    size: int
    sha256: str


class CheckpointFiles:
    """Gives files their names in the work directory, and reports those that are complete."""

    def __init__(self, directory: Path, emit: Callable[[Message], None], monitor: str) -> None:
        """Prepare to write; `monitor` is the value that `best` follows."""
        self._directory = directory
        self._emit = emit
        self._monitor = monitor
        self._count = 0

    def write(
        self,
        position: Position,
        logs: Mapping[str, float],
        format: Format,
        names: list[str],
        save: Callable[[str], object],
        *,
        has_optimizer: bool = False,
    ) -> None:
        """Write a checkpoint with `save(path)`, then report it under its names.

        Raises:
            WriteFailed: it could not be written completely, for example because the disk is full.
        """
        file = self._write_file(format, f"A checkpoint of epoch {position.epochs_begun}", save)
        self._emit(
            CheckpointWritten(
                file=file.name,
                names=names,
                format=format,
                position=position,
                logs=dict(logs),
                monitor=self._monitor,
                value=logs.get(self._monitor),
                size=file.size,
                sha256=file.sha256,
                has_optimizer=has_optimizer,
            )
        )

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Write a snapshot, then report it.

        Raises:
            WriteFailed: it could not be written completely.
        """
        position = snapshot.position
        description = f"A snapshot after epoch {position.epoch}"
        file = self._write_file("snapshot", description, lambda path: write_snapshot(snapshot, Path(path)))
        self._emit(SnapshotWritten(file=file.name, position=position, size=file.size, sha256=file.sha256))

    def _write_file(self, suffix: str, description: str, save: Callable[[str], object]) -> _WrittenFile:
        self._count += 1
        name = f"{self._count:06d}.{suffix}"
        temporary, path = self._directory / f"{WRITING_PREFIX}{name}", self._directory / name
        try:
            save(str(temporary))
            size, sha256 = flush_and_hash(temporary)
            temporary.rename(path)
            _sync(self._directory)
        except (OSError, ValueError, RuntimeError) as error:  # h5py has errors of its own for a full disk
            is_outage = is_caused_by_disk(error, self._directory)
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise WriteFailed(f"{description} could not be written: {error}", is_outage=is_outage) from error
        return _WrittenFile(name, size, sha256)


def saving(model: keras.Model, states: Sequence[Array]) -> Callable[[str], None]:
    """Return a function that writes the weights of a model, with these states."""

    def save(path: str) -> None:
        model.save_weights(path)
        add_states(Path(path), states)

    return save


def is_caused_by_disk(error: BaseException, directory: Path) -> bool:
    """Tell whether a file could not be written there because the disk is full or broken.

    The errors of libraries may not have the number of the operating system's error, and may not even quote it.
    """
    if is_disk_outage(error) or any(os.strerror(number) in str(error) for number in OUTAGE_ERRNOS):
        return True
    try:
        return shutil.disk_usage(directory).free < _ALMOST_FULL
    except OSError:
        return True


def flush_and_hash(path: Path) -> tuple[int, str]:
    """Make sure that a file is on the disk; return its size in bytes and its SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())
        return file.tell(), digest.hexdigest()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
