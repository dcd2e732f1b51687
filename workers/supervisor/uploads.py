"""Stores the files of one attempt while its training continues: an epoch never waits for them.

This happens in a thread, because the supervisor's loop must keep reading: a child whose pipes are full stops training.
"""

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fitqueue.reports import ArtifactWritten, CheckpointWritten, SnapshotWritten
from workers.shared.protocol import FileReport
from workers.supervisor.attempt_recorder import AttemptRecorder

_logger = logging.getLogger(__name__)

MAX_PENDING: Final = 16
"""Files that may wait on this machine's disk for a storage that is slower than the training."""

_NOUNS: Final[dict[type[FileReport], str]] = {
    CheckpointWritten: "checkpoint",
    SnapshotWritten: "snapshot",
    ArtifactWritten: "artifact",
}


class _UploadFailed(Exception):
    """A file could not be stored."""


class Uploads:
    """Stores files in the order in which they were added, each with its row, and none after a failure.

    It is a context manager. A snapshot is skipped when a newer one is waiting, because storing it would only delay
    that.
    """

    def __init__(self, recorder: AttemptRecorder, directory: Path) -> None:
        """Create the thread; `directory` is the one that the child writes to."""
        self.failure: str | None = None
        """Why a file could not be stored: a sentence without its full stop."""
        self.is_abandoned = False
        self._recorder = recorder
        self._directory = directory
        self._queue: deque[tuple[FileReport, Future[None]]] = deque()
        self._newest_snapshot: SnapshotWritten | None = None
        self._has_failed = False
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="uploads")

    def add(self, written: FileReport) -> None:
        """Queue a file."""
        if isinstance(written, SnapshotWritten):
            self._newest_snapshot = written
        # The context carries the fields that are bound to each line of the log.
        self._queue.append((written, self._executor.submit(copy_context().run, self._store, written)))

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= MAX_PENDING

    @property
    def pending(self) -> list[FileReport]:
        """The files that are not stored yet."""
        return [written for written, _ in self._queue]

    def collect(self) -> None:
        """Remove the files that are stored by now from the queue, or set `failure`.

        Raises:
            LeaseLost: the attempt no longer holds the job.
        """
        try:
            while self.failure is None and self._queue and self._queue[0][1].done():
                self._queue[0][1].result()
                self._queue.popleft()
        except _UploadFailed as error:
            _logger.exception("A file of the job could not be stored.")
            self.failure = str(error).removesuffix(".")

    def wait(self, timeout: float) -> None:
        """Wait until the next file is stored, for at most this many seconds."""
        wait([future for _, future in list(self._queue)[:1]], timeout)

    def abandon(self) -> None:
        """Stop waiting. An upload that is still running has no effect once the attempt has its outcome."""
        self.is_abandoned = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=not self.is_abandoned, cancel_futures=True)

    def _store(self, written: FileReport) -> None:
        if self._has_failed:
            return
        try:
            self._record(written)
        except OSError as error:
            self._has_failed = True
            raise _UploadFailed(f"A {_NOUNS[type(written)]} could not be stored: {error}") from error
        except BaseException:
            self._has_failed = True
            raise

    def _record(self, written: FileReport) -> None:
        match written:
            case SnapshotWritten() if written is not self._newest_snapshot:
                (self._directory / Path(written.file).name).unlink(missing_ok=True)
            case CheckpointWritten():
                self._recorder.checkpoint(written, self._directory)
            case SnapshotWritten():
                self._recorder.snapshot(written, self._directory)
            case ArtifactWritten():
                self._recorder.artifact(written, self._directory)
