"""Writes checkpoints and snapshots in a thread, while Keras trains."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, Final

import keras

from fitqueue.reports import Position
from workers.keras_tools.npz import Array
from workers.trainer.checkpoints import BEST, LAST, CheckpointFiles, Format, saving
from workers.trainer.snapshot import Snapshot

# `best`, `last` and the snapshot change in almost every epoch. Short epochs do not get files of their own.
PAUSE_SECONDS: Final = 3.0
# While the disk is the bottleneck, more copies of the weights would only fill the memory.
MAX_WAITING: Final = 2


@dataclass
class WriteRequest:
    """A checkpoint to write.

    Attributes:
        weights: a copy, as `get_weights` returns it.
        compile_config: for a whole model, how it is compiled, so that Keras compiles it when it is loaded.
        states: a copy of what Keras does not save, as `copy_states` returns it.
    """

    position: Position
    logs: Mapping[str, float]
    format: Format
    names: list[str]
    weights: list[Array]
    compile_config: dict[str, Any] | None = None
    states: list[Array] = field(default_factory=list)

    @property
    def can_be_superseded(self) -> bool:
        """Whether a newer checkpoint makes this one superfluous."""
        return set(self.names) <= {BEST, LAST}


@dataclass
class SnapshotRequest:
    """A snapshot to write.

    Attributes:
        can_be_superseded: whether a newer snapshot makes this one superfluous.
    """

    snapshot: Snapshot
    can_be_superseded: bool


Request = WriteRequest | SnapshotRequest


class CheckpointWriter:
    """Writes what is requested, in order, in a thread. Close it: until then the newest requests may wait.

    A snapshot is reported after everything that was requested before it. A training that resumes from it never saves
    those checkpoints again, so they must be stored first.
    """

    def __init__(self, shadow_model: keras.Model, files: CheckpointFiles) -> None:
        self._shadow_model = shadow_model
        self._files = files
        self._requests: list[Request] = []
        self._changed = Condition()
        self._is_closing = False
        self._failure: Exception | None = None
        self._due: list[Request] = []
        """Requests that need not wait for newer ones any more."""
        self._last_due_at = -PAUSE_SECONDS
        self._thread = Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Have something written. Blocks while the disk cannot keep up.

        Raises:
            WriteFailed: an earlier request failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._count_urgent() < MAX_WAITING)
            self._raise_failure()
            self._drop_superseded(request)
            self._requests.append(request)
            if isinstance(request, SnapshotRequest) and not request.can_be_superseded:
                self._due = list(self._requests)
            self._changed.notify_all()

    def close(self) -> None:
        """Write and report everything, then return.

        Raises:
            WriteFailed: a request failed.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        self._raise_failure()

    def _count_urgent(self) -> int:
        return sum(not request.can_be_superseded for request in self._requests)

    def _drop_superseded(self, newer: Request) -> None:
        """Drop what a newer request makes superfluous: names of checkpoints, or snapshots."""
        if isinstance(newer, SnapshotRequest):
            self._requests = [
                request
                for request in self._requests
                if isinstance(request, WriteRequest) or not request.can_be_superseded
            ]
            return
        checkpoints = [request for request in self._requests if isinstance(request, WriteRequest)]
        for request in checkpoints:
            request.names = [name for name in request.names if name not in newer.names or name not in (BEST, LAST)]
        self._requests = [
            request for request in self._requests if isinstance(request, SnapshotRequest) or request.names
        ]

    # --- In the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (request := self._next_due()) is not None:
                self._write(request)
        except Exception as error:  # raised again in the training thread
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _next_due(self) -> Request | None:
        """Wait for the next request that is due; return None when everything is written and nothing more will come."""
        with self._changed:
            while True:
                self._make_due()
                due = next((request for request in self._requests if self._is_due(request)), None)
                if due is not None:
                    self._requests = [request for request in self._requests if request is not due]
                    self._changed.notify_all()
                    return due
                if self._is_closing:
                    return None
                pause = self._last_due_at + PAUSE_SECONDS - time.monotonic() if self._requests else None
                self._changed.wait(timeout=pause)

    def _make_due(self) -> None:
        """After a pause, make everything that waits now due, so that `best`, `last` and a snapshot share the pause."""
        now = time.monotonic()
        if self._requests and now - self._last_due_at >= PAUSE_SECONDS:
            self._due, self._last_due_at = list(self._requests), now

    def _is_due(self, request: Request) -> bool:
        return self._is_closing or not request.can_be_superseded or any(request is other for other in self._due)

    def _write(self, request: Request) -> None:
        if isinstance(request, SnapshotRequest):
            self._files.write_snapshot(request.snapshot)
            return
        with keras.device("cpu:0"):
            self._shadow_model.set_weights(request.weights)
        # Keras calls this when it saves. The shadow model itself is not compiled: it has no optimizer state to save.
        compile_config = request.compile_config
        self._shadow_model.get_compile_config = lambda: compile_config
        save = self._shadow_model.save if request.format == "keras" else saving(self._shadow_model, request.states)
        self._files.write(request.position, request.logs, request.format, request.names, save)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
