"""Stores the files of one attempt while it trains on: an epoch never waits for them.

In a thread of its own, because the supervisor's loop must go on reading: a child whose pipes are full stops.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from workers.shared.protocol import ArtifactWritten, CheckpointWritten, SnapshotWritten
from workers.supervisor.attempt_recorder import AttemptRecorder

Written = CheckpointWritten | SnapshotWritten | ArtifactWritten

MAX_PENDING: Final = 16
"""Files on this machine's disk that wait for a store that is slower than the training."""


class UploadFailed(Exception):
    """A file could not be stored. The message is a sentence without its full stop."""


class Uploads:
    """A context manager. Files are stored in the order in which they came, each with its row; none after a fault.

    A snapshot that a newer one waits behind is passed over: to store it would only make the newer one late.
    """

    def __init__(self, recorder: AttemptRecorder, directory: Path) -> None:
        self._recorder = recorder
        self._directory = directory
        self._waiting: deque[tuple[Written, Future[None]]] = deque()
        self._newest_snapshot: SnapshotWritten | None = None
        self._is_broken = False
        self.is_left = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="uploads")

    def add(self, written: Written) -> None:
        if isinstance(written, SnapshotWritten):
            self._newest_snapshot = written
        # With what is bound to each line that this thread logs.
        self._waiting.append((written, self._thread.submit(copy_context().run, self._store, written)))

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= MAX_PENDING

    @property
    def pending(self) -> list[Written]:
        return [written for written, _ in self._waiting]

    def check(self) -> None:
        """Raises what the storing of a file has raised: NotStored or LeaseLost."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting[0][1].result()
            self._waiting.popleft()

    def wait(self, seconds: float) -> None:
        """Until the next file is stored, or so long."""
        wait([future for _, future in list(self._waiting)[:1]], seconds)

    def leave(self) -> None:
        """Wait no longer. What is being stored may go on, and counts for nothing when the attempt has its end."""
        self.is_left = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=not self.is_left, cancel_futures=True)

    def _store(self, written: Written) -> None:
        if self._is_broken:
            return
        try:
            self._put(written)
        except OSError as error:
            self._is_broken = True
            raise UploadFailed(f"A {written.say} could not be stored: {error}") from error
        except BaseException:
            self._is_broken = True
            raise

    def _put(self, written: Written) -> None:
        match written:
            case SnapshotWritten() if written is not self._newest_snapshot:
                (self._directory / Path(written.file).name).unlink(missing_ok=True)
            case CheckpointWritten():
                self._recorder.checkpoint(written, self._directory)
            case SnapshotWritten():
                self._recorder.snapshot(written, self._directory)
            case ArtifactWritten():
                self._recorder.artifact(written, self._directory)
