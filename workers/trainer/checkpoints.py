"""Writes checkpoints: beside, flushed, renamed, then announced with size and sha256; from a thread, while Keras trains.

What is written is a copy of the model's weights at one moment, taken in some milliseconds and put into a twin: the same
model built once more and never compiled. So a file holds weights alone, without the optimizer's slots, which would
make it three times as large, and the training goes on meanwhile.
"""

import hashlib
import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Final, Literal

import keras

from fitqueue.reports import CheckpointWritten, Message, Position, SnapshotWritten
from workers.keras_tools.npz import Array
from workers.shared.paths import WRITING_PREFIX
from workers.trainer.snapshot import Snapshot
from workers.trainer.snapshot import write as write_snapshot

Format = Literal["weights.h5", "keras"]

BEST: Final = "best"
LAST: Final = "last"
# `best`, `last` and the snapshot change with nearly every epoch; a short epoch is not worth files of its own.
PAUSE_SECONDS: Final = 3.0
# Copies that wait for the disk: more would only fill the memory while the disk is the bottleneck.
WAITING_LIMIT: Final = 2


class CheckpointFailed(Exception):
    """A checkpoint could not be written."""


@dataclass
class WriteRequest:
    """A file to write. `weights` are as `get_weights` returns them: a copy."""

    position: Position
    logs: Mapping[str, float]
    format: Format
    names: list[str]
    weights: list[Array]

    @property
    def can_wait(self) -> bool:
        return set(self.names) <= {BEST, LAST}


@dataclass
class SnapshotRequest:
    """A snapshot to write. One that can wait is needless when there is a newer one."""

    snapshot: Snapshot
    can_wait: bool


class CheckpointFiles:
    """Gives files their names in the work directory, and announces the finished ones."""

    def __init__(self, directory: Path, emit: Callable[[Message], None], monitor: str) -> None:
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
    ) -> None:
        """Let `save(path)` write a file, then announce it under `names`.

        Raises:
            CheckpointFailed: the disk is full, or whatever else kept the file from being written whole.
        """
        name, size, sha256 = self._written(format, f"A checkpoint of epoch {position.epochs_begun}", save)
        self._emit(
            CheckpointWritten(
                file=name,
                names=names,
                format=format,
                position=position,
                logs=dict(logs),
                monitor=self._monitor,
                value=logs.get(self._monitor),
                size=size,
                sha256=sha256,
            )
        )

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Raises CheckpointFailed."""
        position = snapshot.position
        what = f"A snapshot after epoch {position.epoch}"
        name, size, sha256 = self._written("snapshot", what, lambda path: write_snapshot(snapshot, Path(path)))
        self._emit(SnapshotWritten(file=name, position=position, size=size, sha256=sha256))

    def _written(self, suffix: str, what: str, save: Callable[[str], object]) -> tuple[str, int, str]:
        """Name, size and sha256 of a file that lies whole on the disk. Raises CheckpointFailed."""
        self._count += 1
        name = f"{self._count:06d}.{suffix}"
        beside, path = self._directory / f"{WRITING_PREFIX}{name}", self._directory / name
        try:
            save(str(beside))
            size, sha256 = flushed(beside)
            beside.rename(path)
            _sync(self._directory)
        except (OSError, ValueError, RuntimeError) as error:  # h5py has its own words for a full disk
            beside.unlink(missing_ok=True)
            raise CheckpointFailed(f"{what} could not be written: {error}") from error
        return name, size, sha256


class Writer:
    """Writes orders in their order, in a thread of its own. To be closed: until then the newest may wait.

    So a snapshot is announced after all that was ordered before it: what a training that goes on from it will not save
    again is stored.
    """

    def __init__(self, twin: keras.Model, files: CheckpointFiles) -> None:
        self._twin = twin
        self._files = files
        self._orders: list[WriteRequest | SnapshotRequest] = []
        self._changed = Condition()
        self._closing = False
        self._failure: Exception | None = None
        self._round: list[WriteRequest | SnapshotRequest] = []
        self._round_began = -PAUSE_SECONDS
        self._thread = Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def order(self, order: WriteRequest | SnapshotRequest) -> None:
        """Have it written. Blocks while the disk cannot keep up.

        Raises:
            CheckpointFailed: an earlier one could not be written.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._urgent() < WAITING_LIMIT)
            self._raise_failure()
            self._supersede(order)
            self._orders.append(order)
            if isinstance(order, SnapshotRequest) and not order.can_wait:
                self._round = list(self._orders)
            self._changed.notify_all()

    def close(self) -> None:
        """Return when everything is written and announced.

        Raises:
            CheckpointFailed: something could not be written.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._raise_failure()

    def _urgent(self) -> int:
        return sum(not order.can_wait for order in self._orders)

    def _supersede(self, newer: WriteRequest | SnapshotRequest) -> None:
        if isinstance(newer, SnapshotRequest):
            self._orders = [one for one in self._orders if not isinstance(one, SnapshotRequest) or not one.can_wait]
            return
        weights = [order for order in self._orders if isinstance(order, WriteRequest)]
        for order in weights:
            order.names = [name for name in order.names if name not in newer.names or name not in (BEST, LAST)]
        self._orders = [order for order in self._orders if isinstance(order, SnapshotRequest) or order.names]

    def _work(self) -> None:
        try:
            while (order := self._next()) is not None:
                self._write(order)
        except Exception as error:  # it is raised again in the training thread
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _next(self) -> WriteRequest | SnapshotRequest | None:
        """The next order that is due; None when all is done and no more will come."""
        with self._changed:
            while True:
                self._begin_round()
                due = next((order for order in self._orders if self._is_due(order)), None)
                if due is not None:
                    self._orders = [order for order in self._orders if order is not due]
                    self._changed.notify_all()
                    return due
                if self._closing:
                    return None
                pause = self._round_began + PAUSE_SECONDS - time.monotonic() if self._orders else None
                self._changed.wait(timeout=pause)

    def _begin_round(self) -> None:
        """What waits at this moment becomes due together, so that `best`, `last` and a snapshot share one pause."""
        now = time.monotonic()
        if self._orders and now - self._round_began >= PAUSE_SECONDS:
            self._round, self._round_began = list(self._orders), now

    def _is_due(self, order: WriteRequest | SnapshotRequest) -> bool:
        return self._closing or not order.can_wait or any(order is due for due in self._round)

    def _write(self, order: WriteRequest | SnapshotRequest) -> None:
        if isinstance(order, SnapshotRequest):
            self._files.write_snapshot(order.snapshot)
            return
        with keras.device("cpu:0"):
            self._twin.set_weights(order.weights)
        save = self._twin.save if order.format == "keras" else self._twin.save_weights
        self._files.write(order.position, order.logs, order.format, order.names, save)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def make_shadow_model(build: Callable[[], keras.Model], model: keras.Model) -> keras.Model:
    """The same model once more, uncompiled, on the CPU."""
    with _kept_random_state(), keras.device("cpu:0"):
        twin = build()
        if not twin.built:
            twin.build(model.input_shape)
    shapes, wanted = ([tuple(weight.shape) for weight in each.weights] for each in (twin, model))
    if shapes != wanted:
        raise CheckpointFailed(f"The model was built twice with different weights: {wanted}, then {shapes}.")
    return twin


class _kept_random_state(AbstractContextManager[None]):  # noqa: N801 -- it is used like a function
    """Initializers draw their seeds from Python's generator; the training must not see that somebody did."""

    def __enter__(self) -> None:
        self._state = random.getstate()

    def __exit__(self, *_: object) -> None:
        random.setstate(self._state)


def flushed(path: Path) -> tuple[int, str]:
    """Size and sha256 of a file whose bytes are on the disk now."""
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
