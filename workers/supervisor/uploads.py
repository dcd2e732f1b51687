"""Stores the files of one attempt while its training continues: an epoch never waits for them.

This happens in a thread, because the supervisor's loop must keep reading: a child whose pipes are full stops training.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Final, Self

from fitqueue.reports import ArtifactWritten, CheckpointWritten, SnapshotWritten
from service.store.limits import LimitReached
from workers.shared.protocol import FileReport
from workers.supervisor.attempt_recorder import AttemptRecorder
from workers.supervisor.context import Timeouts
from workers.supervisor.storage_calls import is_outage

_logger = logging.getLogger(__name__)

MAX_PENDING: Final = 16
"""Files that may wait on this machine's disk for a storage that is slower than the training."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 10.0
"""Seconds between two tries to store a file. They double from the first to the longest."""

SLOWEST_BYTES_PER_SECOND: Final = 1_000_000.0
"""A storage that is slower counts as one that does not answer."""

_NOUNS: Final[dict[type[FileReport], str]] = {
    CheckpointWritten: "checkpoint",
    SnapshotWritten: "snapshot",
    ArtifactWritten: "artifact",
}


class _UploadFailed(Exception):
    """A file could not be stored."""

    def __init__(self, message: str, *, is_outage: bool = False, has_reached_limit: bool = False) -> None:
        super().__init__(message)
        self.is_outage = is_outage
        self.has_reached_limit = has_reached_limit


class Uploads:
    """Stores files in the order in which they were added, each with its row, and none after a failure.

    While the disk is full or the storage is down, it tries again for a while. It is a context manager. A snapshot is
    skipped when a newer one is waiting, because storing it would only delay that.
    """

    def __init__(
        self, recorder: AttemptRecorder, directory: Path, timeouts: Timeouts, may_retry: Callable[[], bool]
    ) -> None:
        """Create the thread.

        Args:
            directory: the one that the child writes to.
            may_retry: tells whether there is time to try again what failed.
        """
        self.failure: str | None = None
        """Why a file could not be stored: a sentence without its full stop."""
        self.is_outage = False
        """Whether that was due to a full disk or a storage that is down."""
        self.has_reached_limit = False
        """Whether that was due to a limit of the service."""
        self.is_abandoned = False
        self._timeouts = timeouts
        self._may_retry = may_retry
        self._leaving = Event()
        self._recorder = recorder
        self._directory = directory
        self._queue: deque[tuple[FileReport, Future[None]]] = deque()
        self._newest_snapshot: SnapshotWritten | None = None
        self._has_failed = False
        self._is_stuck = False
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
            self._raise_if_stuck()
        except _UploadFailed as error:
            _logger.exception("A file of the job could not be stored.")
            self.failure, self.is_outage = str(error).removesuffix("."), error.is_outage
            self.has_reached_limit = error.has_reached_limit

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
        self._leaving.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if not (self.is_abandoned or self._is_stuck):
            self.wait(self._timeouts.uploads)  # for the file that is being stored

    def _store(self, written: FileReport) -> None:
        if self._has_failed:
            return
        try:
            self._record_patiently(written)
        except OSError as error:
            self._has_failed = True
            message = f"A {_NOUNS[type(written)]} could not be stored: {error}"
            raise _UploadFailed(message, is_outage=is_outage(error)) from error
        except LimitReached as error:
            self._has_failed = True
            raise _UploadFailed(str(error), has_reached_limit=True) from error
        except BaseException:
            self._has_failed = True
            raise

    def _record_patiently(self, written: FileReport) -> None:
        """Store a file. While the storage is down, try again, for as long as the timeout says."""
        pause, gives_up_at = FIRST_PAUSE, time.monotonic() + self._timeouts.outage
        while True:
            try:
                self._record(written)
            except OSError as error:
                seconds_left = gives_up_at - time.monotonic()
                if not is_outage(error) or seconds_left <= 0 or not self._may_retry() or self._leaving.is_set():
                    raise
                _logger.warning("A file cannot be stored now; trying again.", extra={"error": str(error)})
            else:
                return
            self._leaving.wait(min(pause, seconds_left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _raise_if_stuck(self) -> None:
        """Give up on a file that is being stored for much too long.

        Raises:
            _UploadFailed: the storage hangs.
        """
        began_at = self._recorder.storing_since
        if not self._queue or began_at is None or self.failure is not None:
            return
        written = self._queue[0][0]
        timeout = self._timeouts.storage + written.size / SLOWEST_BYTES_PER_SECOND
        if time.monotonic() - began_at > timeout:
            self._has_failed = self._is_stuck = True
            message = f"A {_NOUNS[type(written)]} could not be stored: the storage did not answer for {timeout:.0f} s"
            raise _UploadFailed(message, is_outage=True)

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
