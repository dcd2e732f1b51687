"""Records one attempt in the database: each report in a short transaction of its own, guarded by the lease.

While the database is down, a write is tried again and again. Meanwhile the child trains on until its messages fill the
pipe, and then it waits: nothing is lost and nothing piles up. A storage that is down delays only files.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from typing import Final, TypeVar

from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.reports import (
    ArtifactWritten,
    CheckpointWritten,
    EpochEnded,
    FileWritten,
    Position,
    PrintedLine,
    SnapshotWritten,
)
from fitqueue.states import Reason
from service.db import Database
from service.job_limits import DEFAULT_LIMITS, JobLimits
from service.models import Job, Snapshot
from service.storage import Storage, StorageError, artifact_key, checkpoint_key, snapshot_key
from service.storage.fetching import reads_back
from service.store import attempt_outcomes, leases, recording, snapshots, step_metrics
from service.store.leases import Lease, LeaseLost
from service.store.retry_policy import AttemptFailure
from workers.shared.protocol import PhaseChanged, Progress, Resumed
from workers.supervisor.child_output import LogLines
from workers.supervisor.storage_calls import OnChunk, call_storage
from workers.supervisor.usage_meter import UsageMeter

_logger = logging.getLogger(__name__)

LINES_SECONDS: Final = 0.5
MAX_UNSTORED_LINES: Final = 200
DATABASE_RETRY_SECONDS: Final = 1.0
DISCARD_TIMEOUT: Final = 10.0

Result = TypeVar("Result")


class AttemptRecorder:
    """Writes what one attempt reports.

    Every method that writes to the database, except `add_lines`, raises LeaseLost when the attempt is over. One thread
    may store files while another one writes everything else.
    """

    def __init__(
        self,
        database: Database,
        storage: Storage,
        lease: Lease,
        stopping: Event,
        limits: JobLimits = DEFAULT_LIMITS,
    ) -> None:
        """Create a recorder; once `stopping` is set, it no longer waits for a database that is down."""
        self._limits = limits
        self._database = database
        self._storage = storage
        self._lease = lease
        self._stopping = stopping
        self._lines: list[PrintedLine] = []
        self._lines_stored_at = 0.0
        self._last_checkpoint: tuple[str, str] | None = None
        self._outages = 0
        self._writes = 0
        self._write_in_turn = Lock()
        self._meter: UsageMeter | None = None
        self.storing_since: float | None = None
        """When the call began with which the storage is busy, by the monotonic clock; None if it is not."""

    def watch(self, meter: UsageMeter) -> None:
        """Record with the outcome what the training process has used."""
        self._meter = meter

    # --- Reports ------------------------------------------------------------------------------------------------

    def begin(self, position: Position) -> None:
        """Record that training starts at this position."""
        self._write(lambda session: recording.begin_training(session, self._held_job(session), position))

    def phase(self, changed: PhaseChanged) -> None:
        self._write_once(lambda session, job: recording.record_phase(session, job, changed.phase))

    def resumed(self, resumed: Resumed) -> None:
        self._write_once(
            lambda session, job: recording.record_resumed(session, job, resumed.position, resumed.differences)
        )

    def progress(self, progress: Progress) -> None:
        def record(session: Session, job: Job) -> None:
            recording.record_progress(job, progress.position, progress.steps, progress.metrics)
            if progress.is_point:
                step_metrics.add(session, job, progress.position, progress.metrics)

        self._write_once(record)

    def epoch(self, ended: EpochEnded) -> None:
        self._write_once(lambda session, job: recording.record_epoch(session, job, ended, self._limits))

    def add_lines(self, printed: LogLines) -> None:
        """Add lines to those that `store_lines` will write."""
        now = datetime.now(UTC)
        self._lines += [PrintedLine(now, printed.stream, line) for line in printed.lines]

    def store_lines(self, *, flush: bool = False) -> None:
        """Write the added lines, at most twice a second unless there are many or `flush` is set."""
        waited = time.monotonic() - self._lines_stored_at
        if self._lines and (flush or len(self._lines) >= MAX_UNSTORED_LINES or waited >= LINES_SECONDS):
            lines, self._lines = self._lines, []
            self._lines_stored_at = time.monotonic()
            self._write_once(lambda session, job: recording.record_lines(session, job, lines, self._limits))

    # --- Files --------------------------------------------------------------------------------------------------

    def checkpoint(self, written: CheckpointWritten, directory: Path) -> None:
        """Store the file, then point its names at it. In this order, no name ever points at nothing.

        Raises:
            OSError: it could not be stored.
            LimitReached: the job has too many checkpoints, or too large ones.
        """
        key = checkpoint_key(self._lease.job_id, self._lease.attempt, written.format)

        def record(session: Session, job: Job) -> list[str]:
            return recording.record_checkpoint(session, job, written, key, self._limits)

        self._put(key, written, directory, record)
        if "last" in written.names:
            self._last_checkpoint = (key, written.sha256)

    def snapshot(self, written: SnapshotWritten, directory: Path) -> None:
        """Store the file, then its row.

        Raises:
            OSError: it could not be stored.
        """
        key = snapshot_key(self._lease.job_id, self._lease.attempt)
        self._put(key, written, directory, lambda session, job: snapshots.record(session, job, written, key))

    def artifact(self, written: ArtifactWritten, directory: Path) -> None:
        """Store the file, then its row.

        Raises:
            OSError: it could not be stored.
        """
        key = artifact_key(self._lease.job_id, self._lease.attempt)
        self._put(key, written, directory, lambda session, job: recording.record_artifact(session, job, written, key))

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the job's snapshots; see `snapshots.newest_first`."""
        return self._write(lambda session: snapshots.newest_first(session, self._lease.job_id))

    def forget_snapshot(self, snapshot: Snapshot, why: str) -> None:
        """Delete a snapshot that cannot be used; `why` is a sentence for people."""
        self._write_once(lambda session, job: snapshots.forget(session, job, snapshot, why))
        self._discard([snapshot.storage_key])

    # --- Outcomes -----------------------------------------------------------------------------------------------

    def problem_of_last_checkpoint(self, on_chunk: OnChunk) -> str | None:
        """Return what is wrong with the stored file of the last checkpoint; None if it reads back as it was written.

        Raises:
            OSError: it cannot be read now.
        """
        if self._last_checkpoint is None:
            return "No checkpoint of the trained model was written"
        try:
            is_intact = reads_back(self._storage, *self._last_checkpoint, on_chunk)
        except FileNotFoundError:
            return "The last checkpoint is gone from the storage"
        return None if is_intact else "The last checkpoint did not read back as it was written"

    def finish(self, reason: Reason, message: str) -> None:
        """End the job. Before a job succeeds, its last checkpoint must have been read back."""
        self._end(lambda session: attempt_outcomes.finish(session, self._lease, reason, message))
        # The newest snapshot stays, so that the job can be extended.
        self._discard(self._write(lambda session: snapshots.keep_newest(session, self._lease.job_id, 1)))
        _logger.info("The job ended.", extra={"reason": str(reason)})

    def requeue(self, why: str, *, preempted: bool = False) -> None:
        """Put the job back into the queue, as at a shutdown; see `attempt_outcomes.requeue`."""
        self._end(lambda session: attempt_outcomes.requeue(session, self._lease, why, preempted=preempted))
        _logger.info("The job was requeued.", extra={"why": why})

    def fail_attempt(self, failure: AttemptFailure) -> None:
        """Count a failed attempt; see `attempt_outcomes.fail_attempt`."""
        self._end(lambda session: attempt_outcomes.fail_attempt(session, self._lease, failure))
        _logger.warning("The attempt failed.", extra={"why": failure.why})

    # --- Mechanism ----------------------------------------------------------------------------------------------

    def _held_job(self, session: Session) -> Job:
        return leases.held_job(session, self._lease)

    def _end(self, write_outcome: Callable[[Session], bool]) -> None:
        def write(session: Session) -> bool:
            if self._meter is not None:
                leases.record_use(session, self._lease, self._meter.used)
            return write_outcome(session)

        if not self._write(write):
            raise LeaseLost("the attempt no longer held the job when it ended")

    def _put(
        self, key: str, written: FileWritten, directory: Path, record: Callable[[Session, Job], list[str]]
    ) -> None:
        """Store the file, then its row; then delete the files that the row replaced."""
        with self._noting_storage_call():
            self._storage.put(key, directory / Path(written.file).name)
        outages = self._outages
        unreferenced: list[str] = []
        try:
            self._write_once(lambda session, job: unreferenced.extend(record(session, job)))
        except BaseException:
            # After an outage the answer to a commit may be lost, and a row may point at the file.
            if self._outages == outages:
                self._storage.discard(key)
            raise
        with self._noting_storage_call():
            self._storage.discard_all(unreferenced)

    @contextmanager
    def _noting_storage_call(self) -> Iterator[None]:
        self.storing_since = time.monotonic()
        try:
            yield
        finally:
            self.storing_since = None

    def _discard(self, keys: Sequence[str]) -> None:
        """Delete files that nothing refers to any more. If the storage hangs, the sweeper deletes them later."""
        with suppress(StorageError):
            call_storage(lambda _: self._storage.discard_all(keys), lambda: None, DISCARD_TIMEOUT)

    def _write_once(self, record: Callable[[Session, Job], None]) -> None:
        """Write what must not be written twice: if the answer to a commit is lost, `_write` tries again."""

        def write(session: Session) -> None:
            job = leases.begin_write(session, self._lease, self._writes)
            if job is not None:
                record(session, job)

        with self._write_in_turn:
            self._writes += 1
            self._write(write)

    def _write(self, write: Callable[[Session], Result]) -> Result:
        """Write in a transaction, again and again while the database is down."""
        while True:
            try:
                with self._database.write() as session:
                    return write(session)
            except DatabaseUnavailable as error:
                self._outages += 1
                _logger.warning("The database is down; trying again.", extra={"error": str(error)})
                if self._stopping.wait(DATABASE_RETRY_SECONDS):
                    raise LeaseLost("the database is down while the worker stops") from error
