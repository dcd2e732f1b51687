"""Trains one claimed job in a child.

One loop over what the child says, silence included. On the way wishes are passed on and deadlines are kept; files are
stored beside it. When the lease is lost nothing more is written: somebody else has the job.
"""

import logging
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from threading import Event
from typing import Final, Literal

from fitqueue.errors import DatabaseUnavailable
from fitqueue.states import Reason
from service.dataset_cache import DatasetCache
from service.db import Database
from service.logs import bound
from service.storage import Storage, StorageError
from service.storage.fetching import fetch
from service.store.leases import ClaimedJob, LeaseLost
from service.store.snapshots import SnapshotRecord
from workers.shared.paths import attempt_dir, fetched_dir
from workers.shared.protocol import (
    ArtifactWritten,
    CheckpointWritten,
    Ended,
    EpochEnded,
    PhaseChanged,
    Progress,
    Resumed,
    SnapshotRefused,
    SnapshotWritten,
    Start,
    Stop,
    Stopped,
)
from workers.supervisor import exit_reason, orphans, unsaved
from workers.supervisor.attempt_recorder import AttemptRecorder
from workers.supervisor.fork_server import (
    Child,
    ChildNotReading,
    ChildOutput,
    ForkServer,
    ForkServerBroken,
    LogLines,
    UnparsableLine,
)
from workers.supervisor.lease_renewer import LeaseRenewer
from workers.supervisor.uploads import UploadFailed, Uploads

_logger = logging.getLogger(__name__)

_GIVEN_BACK: Final = {
    "shutdown": "The worker was shut down; the job waits for another.",
    "pause": "The job left its worker, and waits to be resumed.",
}
OLDER_AFTER_STALLS: Final = 2

Why = Literal["cancel", "pause", "shutdown", "max_runtime"]

POLL_SECONDS: Final = 0.5


class _NotBegun(Exception):
    """Before the training began the worker was shut down, or somebody took the job back."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Timeouts:
    """How long a child may take, in seconds."""

    first_word: float = 60.0
    """It speaks within milliseconds. One that does not was forked from a nursery that is not sound."""
    stop: tuple[float, float] = (5.0, 7.0)
    """From the word `stop` to TERM, and to KILL: a device must be free ten seconds after somebody asked for it, and
    ten seconds is what containers get at a shutdown."""
    silence: float = 1800.0
    """Between two words or lines of a child."""
    storing: float = 40.0
    """What is left to be stored when the worker shuts down: with the child's end, less than the minute that the
    containers get."""


@dataclass(frozen=True)
class WorkerContext:
    """What the supervision of any job needs of this worker."""

    database: Database
    store: Storage
    datasets: DatasetCache
    fork_server: ForkServer
    work_dir: Path
    kept: Path
    """What could not be stored goes there."""
    lease_seconds: float
    cpu_devices: int
    threads: int
    snapshot_seconds: float
    stopping: Event
    """Set when the worker shuts down."""
    timeouts: Timeouts = Timeouts()


class Supervisor:
    """Of one attempt at one job."""

    def __init__(self, place: WorkerContext, claimed: ClaimedJob) -> None:
        self._place = place
        self._claimed = claimed
        self._recorder = AttemptRecorder(place.database, place.store, claimed.lease, place.stopping)
        self._keeper = LeaseRenewer(place.database, claimed.lease, place.lease_seconds, place.timeouts.silence)
        self._directory = attempt_dir(place.work_dir, claimed.lease.job_id, claimed.lease.attempt)
        self._last_lines: list[str] = []
        self._last_word: Ended | SnapshotRefused | Stopped | None = None
        self._snapshot: SnapshotRecord | None = None
        self._own_verdict: Ended | None = None
        self._asked: Why | None = None
        self._asked_at = 0.0
        self._spoke = False
        self._was_silent = False
        self._began_at = self._heard_at = time.monotonic()

    def run(self) -> None:
        """Train the job to its end, or give it back.

        Raises:
            NurseryBroken: no child can be started; the job was given back.
            StoreFailed: what the training needs cannot be fetched; the job was given back.
        """
        with bound(job=self._claimed.lease.job_id, attempt=self._claimed.lease.attempt):
            try:
                with self._keeper:
                    self._train()
            except _NotBegun as unbegun:
                with suppress(LeaseLost):
                    self._leave_unbegun(unbegun.why)
            except LeaseLost as lost:
                _logger.warning("The lease was lost; what this attempt did does not count.", extra={"why": str(lost)})
            except ForkServerBroken:
                with suppress(LeaseLost):
                    self._recorder.requeue("The worker cannot start training processes; the job waits for another.")
                raise
            except StorageError as error:
                with suppress(LeaseLost):
                    self._recorder.requeue(f"The worker cannot fetch what the job needs ({error}); the job waits.")
                raise
            except BaseException as error:
                # Whoever logs it does so where neither is bound any more.
                error.add_note(f"job {self._claimed.lease.job_id}, attempt {self._claimed.lease.attempt}")
                # It counts and the job waits: else a worker whose disk is full would take every job, again and again.
                with suppress(LeaseLost):
                    self._recorder.fail_attempt(
                        f"The worker could not train the job ({type(error).__name__}: {error})"[:500]
                    )
                raise
            finally:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _train(self) -> None:
        fetched = fetched_dir(self._directory)
        fetched.mkdir(parents=True)
        found = self._recorder.newest_whole_snapshot(
            fetched, self._check_before, pass_over_newest=self._is_newest_suspect()
        )
        self._snapshot, snapshot_path = found or (None, None)
        self._recorder.begin(self._snapshot)
        start = self._start(fetched, snapshot_path)
        self._check_before()
        # The child first, at the end: then what is being uploaded, which may take its time.
        with Uploads(self._recorder, self._directory) as uploads, self._place.fork_server.spawn() as child:
            self._began_at = self._heard_at = time.monotonic()
            orphans.note(self._directory, child.pid)
            with suppress(DatabaseUnavailable):  # the last renewal was seconds ago
                self._keeper.renew()
            with suppress(ChildNotReading):  # the deadline of its first word follows
                child.send(start)
            self._keeper.watch(child)
            for event in child.events(POLL_SECONDS):
                if event is not None:
                    self._write_down(event, uploads)
                self._recorder.store_lines()
                self._look_after(child, uploads)
                while uploads.is_full and self._own_verdict is None and not self._place.stopping.is_set():
                    uploads.wait(POLL_SECONDS)
                    self._heard_at = time.monotonic()  # the child may speak; it is not listened to
                    self._look_after(child, uploads)
            self._recorder.store_lines(all_of_them=True)
            self._await(uploads, child)
        self._end(child.exit_code, uploads)

    def _await(self, uploads: Uploads, child: Child) -> None:
        """Return when all is stored, or cannot be; or when the worker, which shuts down, can wait no longer."""
        deadline = float("inf")
        while uploads.pending and self._own_verdict is None:
            if self._place.stopping.is_set():
                deadline = min(deadline, time.monotonic() + self._place.timeouts.storing)
            if time.monotonic() >= deadline:
                uploads.leave()
                return
            uploads.wait(POLL_SECONDS)
            self._keeper.check()
            self._check(uploads, child)

    def _check_before(self) -> None:
        """Raises LeaseLost, and _NotBegun where the training is not to begin."""
        self._keeper.check()
        if (why := "shutdown" if self._place.stopping.is_set() else self._wish()) is not None:
            raise _NotBegun(why)

    def _look_after(self, child: Child, uploads: Uploads) -> None:
        self._keeper.check()
        self._check(uploads, child)
        self._pass_on_wishes(child)
        self._keep_deadlines(child)

    def _is_newest_suspect(self) -> bool:
        """Where attempts are lost again and again, their snapshot may be what they are lost by.

        An extended job has no older one, and without any the callback that had ended it would end it again.
        """
        return self._claimed.stalled_attempts >= OLDER_AFTER_STALLS and self._claimed.extended_at_epoch is None

    def _start(self, fetched: Path, snapshot: Path | None) -> Start:
        return Start(
            job_id=self._claimed.lease.job_id,
            attempt=self._claimed.lease.attempt,
            spec=self._claimed.spec,
            dataset_path=self._fetch_dataset(fetched),
            initial_weights=self._fetch_initial_weights(fetched),
            snapshot=str(snapshot.absolute()) if snapshot else None,
            extended=self._snapshot is not None and self._snapshot.epoch == self._claimed.extended_at_epoch,
            snapshot_seconds=self._place.snapshot_seconds,
            work_dir=str(self._directory.absolute()),
            gpus=list(self._claimed.gpus),
            cpu_devices=self._place.cpu_devices,
            threads=self._place.threads,
            lease_seconds=self._keeper.child_seconds,
        )

    def _fetch_dataset(self, fetched: Path) -> str | None:
        key, sha256 = self._claimed.dataset_key, self._claimed.dataset_sha256
        if key is None or sha256 is None:
            return None
        return str(self._place.datasets.link(key, sha256, fetched / "dataset.npz", self._check_before))

    def _fetch_initial_weights(self, fetched: Path) -> str | None:
        """A copy of them: the job that they are of may find better ones and replace the file at any moment."""
        key = self._claimed.initial_weights_key
        if key is None:
            return None
        path = fetched / "initial.weights.h5"
        fetch(self._place.store, key, path, self._check_before)
        return str(path.absolute())

    def _write_down(self, event: ChildOutput, uploads: Uploads) -> None:
        self._spoke, self._heard_at = True, time.monotonic()
        match event:
            case LogLines():
                self._recorder.note_lines(event)
                self._last_lines = (self._last_lines + event.lines)[-exit_reason.LINES_SHOWN :]
            case PhaseChanged():
                self._recorder.phase(event)
            case Resumed():
                self._recorder.resumed(event)
            case Progress():
                self._recorder.progress(event)
            case EpochEnded():
                self._recorder.epoch(event)
            case CheckpointWritten() | SnapshotWritten() | ArtifactWritten():
                uploads.add(event)
            case Ended() | SnapshotRefused() | Stopped():
                self._last_word = event
            case UnparsableLine():
                _logger.error("The child said what is no event.", extra={"line": repr(event.line[:200])})

    def _check(self, uploads: Uploads, child: Child) -> None:
        try:
            if self._own_verdict is None:
                uploads.check()
        except UploadFailed as error:
            _logger.exception("A file of the job could not be stored.")
            self._own_verdict = Ended(reason=Reason.STORAGE_FAILED, message=str(error))
            child.signal(SIGKILL)

    def _pass_on_wishes(self, child: Child) -> None:
        if (why := self._wish()) is not None:
            self._ask(child, why)

    def _wish(self) -> Why | None:
        """What somebody has asked of the job."""
        if self._keeper.actions.cancel_requested:
            return "cancel"
        return "pause" if self._keeper.actions.pause_requested else None

    def _keep_deadlines(self, child: Child) -> None:
        now = time.monotonic()
        timeouts = self._place.timeouts
        if now - self._heard_at >= (timeouts.silence if self._spoke else timeouts.first_word):
            self._was_silent = True
            child.signal(SIGKILL)
        if self._place.stopping.is_set():
            self._ask(child, "shutdown")
        elif now >= self._deadline():
            self._ask(child, "max_runtime")
        if self._asked is not None:
            self._press(child, now - self._asked_at)

    def _deadline(self) -> float:
        seconds = self._claimed.spec.get("max_runtime_seconds")
        return float("inf") if seconds is None else self._began_at + seconds - self._claimed.seconds_used

    def _ask(self, child: Child, why: Why) -> None:
        """Ask the child to end. The first wish counts, with the child as here."""
        if self._asked is None:
            self._asked, self._asked_at = why, time.monotonic()
            with suppress(ChildNotReading):  # TERM and KILL follow
                child.send(Stop(why=why))

    def _press(self, child: Child, waited: float) -> None:
        term, kill = self._place.timeouts.stop
        if waited >= kill:
            child.signal(SIGKILL)
        elif waited >= term:
            child.signal(SIGTERM)

    # --- when it has ended --------------------------------------------------------------------------------------

    def _leave_unbegun(self, why: Why) -> None:
        if why == "cancel":
            self._recorder.finish(Reason.CANCELLED_BY_USER, "The job was cancelled before training began.")
        else:
            self._recorder.requeue(_GIVEN_BACK[why])

    def _end(self, exit_code: int | None, uploads: Uploads) -> None:
        if uploads.is_left:
            why = "The worker was shut down before all was stored"
            self._recorder.requeue(f"{why}{self._keep_files(uploads)}; the job waits for another.")
            return
        match self._own_verdict or self._last_word or self._unsaid():
            case Stopped():
                self._recorder.requeue(_GIVEN_BACK["pause" if self._asked == "pause" else "shutdown"])
            case Ended(reason=Reason.STORAGE_FAILED as reason, message=message):
                # A full disk may be empty tomorrow, and another worker's is another.
                self._recorder.fail_attempt(message.removesuffix(".") + self._keep_files(uploads), reason)
            case Ended(reason=reason, message=message, may_pass=True):
                self._recorder.fail_attempt(message.removesuffix("."), reason)
            case Ended(reason=reason, message=message):
                self._recorder.finish(reason, message)
            case SnapshotRefused(message=message):
                assert self._snapshot is not None
                self._recorder.forget_snapshot(self._snapshot)
                self._recorder.fail_attempt(message.removesuffix("."))
            case None:
                self._lose(exit_reason.in_words(exit_code))

    def _keep_files(self, uploads: Uploads) -> str:
        if not uploads.pending:
            return ""
        where = unsaved.keep(self._directory, self._place.kept, uploads.pending)
        return f"; what was not stored is kept in {where} on {socket.gethostname()}" if where else ""

    def _lose(self, death: exit_reason.ExitReason) -> None:
        """The child died without a last word: once perhaps by the machine's doing, twice at a place by the job's."""
        if self._was_silent:
            silent = f"said nothing for {self._place.timeouts.silence:g} s" if self._spoke else "never spoke"
            self._recorder.fail_attempt(f"The training process {silent} and was ended")
        else:
            verdict = death.reason if self._spoke else None
            self._recorder.fail_attempt(
                death.message.removesuffix("."), verdict, exit_reason.last_lines(self._last_lines)
            )

    def _unsaid(self) -> Ended | Stopped | None:
        """What the end of a child without a last word means if it was asked to end; None if it was not."""
        match self._asked:
            case "shutdown" | "pause":
                return Stopped()
            case "cancel":
                message = "The job was cancelled; its process had to be ended by force."
                return Ended(reason=Reason.CANCELLED_BY_USER, message=message)
            case "max_runtime":
                message = "The job had run for its max_runtime_seconds; its process had to be ended by force."
                return Ended(reason=Reason.MAX_RUNTIME, message=message)
        return None
