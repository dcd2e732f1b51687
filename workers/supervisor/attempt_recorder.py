"""What a worker writes about one attempt: each event in a short transaction of its own, guarded by the lease.

While the database is down, a write is tried again and again. Meanwhile the child trains on, until what it says fills
the pipe, and then it waits: nothing is lost and nothing piles up. A store that is down holds up nothing but files.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from typing import Final, TypeVar

from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.states import JobState, Reason, state_of
from service.db import Database
from service.models import Snapshot
from service.storage import Storage, StorageError, artifact_key, checkpoint_key, snapshot_key
from service.storage.fetching import fetch
from service.store import leases, recording, snapshots
from service.store.leases import Lease, LeaseLost
from service.store.snapshots import SnapshotRecord
from workers.shared.protocol import (
    ArtifactWritten,
    CheckpointWritten,
    EpochEnded,
    PhaseChanged,
    Progress,
    Resumed,
    SnapshotWritten,
)
from workers.supervisor.fork_server import LogLines

_logger = logging.getLogger(__name__)

LINES_SECONDS: Final = 0.5
LINES_LIMIT: Final = 200
DATABASE_RETRY_SECONDS: Final = 1.0

ModelCheckResult = TypeVar("ModelCheckResult")


class AttemptRecorder:
    """Of one attempt at one job. Every method but `note_lines` raises LeaseLost when the attempt is over.

    Files may be stored in one thread while another writes down all else.
    """

    def __init__(self, database: Database, store: Storage, lease: Lease, stopping: Event) -> None:
        """`stopping` is set when the worker shuts down: then a dead database is not waited for."""
        self._database = database
        self._store = store
        self._lease = lease
        self._stopping = stopping
        self._lines: list[recording.LineRecord] = []
        self._lines_stored_at = 0.0
        self._last_checkpoint: tuple[str, str] | None = None
        self._outages = 0
        self._writes = 0
        self._in_order = Lock()

    def phase(self, changed: PhaseChanged) -> None:
        self._write_once(lambda session: recording.record_phase(session, self._lease, changed.phase))

    def begin(self, snapshot: SnapshotRecord | None) -> None:
        """Training begins, or goes on from a snapshot."""
        epoch, step = (snapshot.epoch, snapshot.step) if snapshot is not None else (0, 0)
        self._write(lambda session: recording.begin(session, self._lease, epoch, step))

    def resumed(self, at: Resumed) -> None:
        self._write_once(
            lambda session: recording.record_resumed(session, self._lease, at.epoch, at.step, at.differences)
        )

    def newest_whole_snapshot(
        self, directory: Path, on_piece: Callable[[], None], *, pass_over_newest: bool = False
    ) -> tuple[SnapshotRecord, Path] | None:
        """The newest from which training can go on: one that reads back as it was written. It, and where it lies.

        It is fetched into the directory where it is stored on another machine; `on_piece`: see `fetch`.

        Raises:
            StoreFailed: nobody can say which that is.
        """
        job_id = self._lease.job_id
        known = self._write(lambda session: [_snapshot_record(row) for row in snapshots.newest_first(session, job_id)])
        candidates = known[1:] if pass_over_newest else known
        for snapshot in candidates:
            path = self._store.local_path(snapshot.storage_key) or directory / "snapshot"
            if self._is_whole(snapshot, path, on_piece):
                return snapshot, path
        return None

    def forget_snapshot(self, snapshot: SnapshotRecord) -> None:
        self._write(lambda session: snapshots.forget(session, self._lease, snapshot.storage_key))
        self._store.discard(snapshot.storage_key)

    def _is_whole(self, snapshot: SnapshotRecord, path: Path, on_piece: Callable[[], None]) -> bool:
        key = snapshot.storage_key
        try:
            if self._store.local_path(key) == path:
                whole = self._reads_back(key, snapshot.sha256)
            else:
                whole = fetch(self._store, key, path, on_piece) == snapshot.sha256
        except StorageError:
            raise  # to begin anew would give up all that was trained
        except OSError as error:
            _logger.error("A snapshot cannot be read.", extra={"error": str(error)})
            return False
        if not whole:
            _logger.error("A snapshot did not read back as it was written.", extra={"key": snapshot.storage_key})
        return whole

    def progress(self, at: Progress) -> None:
        self._write(lambda session: recording.record_progress(session, self._lease, at.epoch, at.step, at.steps))

    def epoch(self, ended: EpochEnded) -> None:
        record = recording.EpochRecord(
            epoch=ended.epoch,
            logs=ended.logs,
            learning_rate=ended.learning_rate,
            next_learning_rate=ended.next_learning_rate,
            seconds=ended.seconds,
            steps=ended.steps,
        )
        self._write_once(lambda session: recording.record_epoch(session, self._lease, record))

    def checkpoint(self, written: CheckpointWritten, directory: Path) -> None:
        """Store the file, then point its names at it. In this order: a name never points at nothing.

        Raises:
            OSError: it could not be stored.
        """
        key = checkpoint_key(self._lease, written.format)
        record = _checkpoint_record(written, key)
        self._put(
            key,
            directory / Path(written.file).name,
            lambda session: recording.record_checkpoint(session, self._lease, record),
        )
        if "last" in written.names:
            self._last_checkpoint = (key, written.sha256)

    def snapshot(self, written: SnapshotWritten, directory: Path) -> None:
        """Store the file, then its row.

        Raises:
            OSError: it could not be stored.
        """
        key = snapshot_key(self._lease)
        record = SnapshotRecord(key, written.epoch, written.step, written.size, written.sha256)
        self._put(
            key, directory / Path(written.file).name, lambda session: snapshots.record(session, self._lease, record)
        )

    def artifact(self, written: ArtifactWritten, directory: Path) -> None:
        """Store the file, then its row.

        Raises:
            OSError: it could not be stored.
        """
        key = artifact_key(self._lease)
        record = recording.ArtifactRecord(written.name, key, written.size, written.sha256)
        self._put(
            key,
            directory / Path(written.file).name,
            lambda session: recording.record_artifact(session, self._lease, record),
        )

    def note_lines(self, printed: LogLines) -> None:
        now = datetime.now(UTC)
        self._lines += [recording.LineRecord(now, printed.stream, line) for line in printed.lines]

    def store_lines(self, *, all_of_them: bool = False) -> None:
        """What was noted, a few times a second and not line by line."""
        waited = time.monotonic() - self._lines_stored_at
        if self._lines and (all_of_them or len(self._lines) >= LINES_LIMIT or waited >= LINES_SECONDS):
            lines, self._lines = self._lines, []
            self._lines_stored_at = time.monotonic()
            self._write_once(lambda session: recording.record_log_lines(session, self._lease, lines))

    def finish(self, reason: Reason, message: str) -> None:
        """A job succeeds only if its last checkpoint reads back whole."""
        if state_of(reason) is JobState.SUCCEEDED and (fault := self._fault_of_last_checkpoint()):
            self.fail_attempt(fault.removesuffix("."), Reason.STORAGE_FAILED)
            return
        if not self._write(lambda session: leases.finish(session, self._lease, reason, message)):
            raise LeaseLost("the job was not this attempt's any more when it ended")
        # One stays, to go on from where the job is extended.
        for unreferenced in self._write(lambda session: snapshots.keep_newest(session, self._lease.job_id, 1)):
            self._store.discard(unreferenced)
        _logger.info("The job ended.", extra={"reason": str(reason)})

    def requeue(self, why: str) -> None:
        if not self._write(lambda session: leases.requeue(session, self._lease, why)):
            raise LeaseLost("the job was not this attempt's any more when it was to be given back")
        _logger.info("The job was given back.", extra={"why": why})

    def fail_attempt(self, why: str, verdict: Reason | None = None, details: str = "") -> None:
        """As `requeue`, after something went wrong: it counts, and the job waits. See `leases.fail_attempt`."""
        if not self._write(lambda session: leases.fail_attempt(session, self._lease, why, verdict, details)):
            raise LeaseLost("the job was not this attempt's any more when it was to be given back")
        _logger.warning("The attempt was lost.", extra={"why": why})

    def _put(self, key: str, file: Path, record: Callable[[Session], list[str]]) -> None:
        """Store the file, then its row; then delete the files that the row replaced."""
        self._store.put(key, file)
        outages = self._outages
        unreferenced: list[str] = []
        try:
            self._write_once(lambda session: unreferenced.extend(record(session)))
        except BaseException:
            # Where the answer to a commit was lost, a row may point at the file all the same.
            if self._outages == outages:
                self._store.discard(key)
            raise
        for old in unreferenced:
            self._store.discard(old)

    def _fault_of_last_checkpoint(self) -> str | None:
        """What is wrong with the last checkpoint as it lies in the store; None if it reads back whole."""
        if self._last_checkpoint is None:
            return "No checkpoint of the trained model was written."
        try:
            whole = self._reads_back(*self._last_checkpoint)
        except OSError as error:
            return f"The last checkpoint cannot be read back: {error}"
        return None if whole else "The last checkpoint did not read back as it was written."

    def _reads_back(self, key: str, sha256: str) -> bool:
        found = hashlib.sha256()
        for chunk in self._store.open(key):
            found.update(chunk)
        return found.hexdigest() == sha256

    def _write_once(self, act: Callable[[Session], None]) -> None:
        """As `_write`, for what may not be done again where it was done and only the answer was lost."""

        def act_once(session: Session) -> None:
            if leases.begin_write(session, self._lease, self._writes):
                act(session)

        with self._in_order:
            self._writes += 1
            self._write(act_once)

    def _write(self, act: Callable[[Session], ModelCheckResult]) -> ModelCheckResult:
        while True:
            try:
                with self._database.write() as session:
                    return act(session)
            except DatabaseUnavailable as error:
                self._outages += 1
                _logger.warning("The database is down; trying again.", extra={"error": str(error)})
                if self._stopping.wait(DATABASE_RETRY_SECONDS):
                    raise LeaseLost("the database is down while the worker stops") from error


def _snapshot_record(row: Snapshot) -> SnapshotRecord:
    return SnapshotRecord(row.storage_key, row.epoch, row.step, row.size, row.sha256)


def _checkpoint_record(written: CheckpointWritten, key: str) -> recording.CheckpointRecord:
    return recording.CheckpointRecord(
        names=written.names,
        storage_key=key,
        format=written.format,
        epoch=written.epoch,
        batch=written.batch,
        logs=written.logs,
        monitor=written.monitor,
        value=written.value,
        size=written.size,
        sha256=written.sha256,
    )
