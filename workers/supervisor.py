"""Trains one claimed job in a child.

One loop over what the child says, silence included. On the way the lease is renewed, the wish to cancel is read and
deadlines are kept. When the lease is lost nothing more is written: somebody else has the job.
"""

import logging
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from threading import Event
from typing import Final, Literal

from fitqueue.states import Reason
from service.db import Database
from service.logs import bound
from service.storage import FileStore
from service.store.leases import ClaimedJob, LeaseLost
from service.store.snapshots import SnapshotRecord
from workers import deaths
from workers.ledger import Ledger
from workers.nursery import Child, ChildDeaf, Garbled, Heard, LogLines, Nursery, NurseryBroken
from workers.paths import attempt_dir
from workers.protocol import (
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

_logger = logging.getLogger(__name__)

Why = Literal["cancel", "shutdown", "max_runtime"]

POLL_SECONDS: Final = 0.5
# A renewal is also how the wish to cancel is read, so it is more frequent than the lease alone needs.
RENEWAL_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Patience:
    """How long a child may take, in seconds."""

    first_word: float = 60.0
    """It speaks within milliseconds. One that does not was forked from a nursery that is not sound."""
    stop: tuple[float, float] = (30.0, 35.0)
    """From the word `stop` to TERM, and to KILL: a batch may be long, and the weights have to be written."""
    shutdown: tuple[float, float] = (5.0, 7.0)
    """The same where the worker shuts down: it must fit into the ten seconds that containers get."""


@dataclass(frozen=True)
class Workplace:
    """What the supervision of any job needs of this worker."""

    database: Database
    store: FileStore
    nursery: Nursery
    work_dir: Path
    lease_seconds: float
    cpu_devices: int
    threads: int
    snapshot_seconds: float
    stopping: Event
    """Set when the worker shuts down."""
    patience: Patience = Patience()


class Supervision:
    """Of one attempt at one job."""

    def __init__(self, place: Workplace, claimed: ClaimedJob, gpus: list[str]) -> None:
        self._place = place
        self._claimed = claimed
        self._gpus = gpus
        self._ledger = Ledger(place.database, place.store, claimed.lease, place.lease_seconds, place.stopping)
        self._directory = attempt_dir(place.work_dir, claimed.lease.job_id, claimed.lease.attempt)
        self._last_lines: list[str] = []
        self._last_word: Ended | SnapshotRefused | Stopped | None = None
        self._snapshot: SnapshotRecord | None = None
        self._own_verdict: Ended | None = None
        self._asked: Why | None = None
        self._asked_at = 0.0
        self._spoke = False
        self._began_at = time.monotonic()
        self._next_renewal = self._began_at

    def run(self) -> None:
        """Train the job to its end, or give it back.

        Raises:
            NurseryBroken: no child can be started; the job was given back.
        """
        with bound(job=self._claimed.lease.job_id, attempt=self._claimed.lease.attempt):
            try:
                self._train()
            except LeaseLost as lost:
                _logger.warning("The lease was lost; what this attempt did does not count.", extra={"why": str(lost)})
            except NurseryBroken:
                with suppress(LeaseLost):
                    self._ledger.give_back("The worker cannot start training processes; the job waits for another.")
                raise
            except BaseException as error:
                # It counts and the job waits: else a worker whose disk is full would take every job, again and again.
                with suppress(LeaseLost):
                    self._ledger.lose(f"The worker could not train the job ({type(error).__name__}: {error})"[:500])
                raise
            finally:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _train(self) -> None:
        self._directory.mkdir(parents=True)
        self._snapshot = self._ledger.newest_whole_snapshot()
        self._ledger.begin(self._snapshot)
        with self._place.nursery.spawn() as child:
            self._began_at = time.monotonic()
            with suppress(ChildDeaf):  # the deadline of its first word follows
                child.tell(self._start())
            for heard in child.events(POLL_SECONDS):
                if heard is not None:
                    self._write_down(heard, child)
                self._ledger.store_lines()
                self._renew(child)
                self._keep_deadlines(child)
        self._ledger.store_lines(all_of_them=True)
        self._end(child.exit_code)

    def _start(self) -> Start:
        key = self._claimed.dataset_key
        return Start(
            job_id=self._claimed.lease.job_id,
            attempt=self._claimed.lease.attempt,
            spec=self._claimed.spec,
            dataset_path=str(self._place.store.local_path(key)) if key else None,
            initial_weights=self._fetch_initial_weights(),
            snapshot=str(self._place.store.local_path(self._snapshot.storage_key)) if self._snapshot else None,
            snapshot_seconds=self._place.snapshot_seconds,
            work_dir=str(self._directory.absolute()),
            gpus=self._gpus,
            cpu_devices=self._place.cpu_devices,
            threads=self._place.threads,
        )

    def _fetch_initial_weights(self) -> str | None:
        """A copy of them: the job that they are of may find better ones and replace the file at any moment."""
        key = self._claimed.initial_weights_key
        if key is None:
            return None
        path = self._directory / "initial.weights.h5"
        with path.open("wb") as file:
            file.writelines(self._place.store.open(key))
        return str(path.absolute())

    def _write_down(self, heard: Heard, child: Child) -> None:
        self._spoke = True
        match heard:
            case LogLines():
                self._ledger.note_lines(heard)
                self._last_lines = (self._last_lines + heard.lines)[-deaths.LINES_SHOWN :]
            case PhaseChanged():
                self._ledger.phase(heard)
            case Resumed():
                self._ledger.resumed(heard)
            case Progress():
                self._ledger.progress(heard)
            case EpochEnded():
                self._ledger.epoch(heard)
            case CheckpointWritten() | SnapshotWritten() | ArtifactWritten():
                self._keep(heard, child)
            case Ended() | SnapshotRefused() | Stopped():
                self._last_word = heard
            case Garbled():
                _logger.error("The child said what is no event.", extra={"line": repr(heard.line[:200])})

    def _keep(self, written: CheckpointWritten | SnapshotWritten | ArtifactWritten, child: Child) -> None:
        what = f"A {written.say}"
        try:
            match written:
                case CheckpointWritten():
                    self._ledger.checkpoint(written, self._directory)
                case SnapshotWritten():
                    self._ledger.snapshot(written, self._directory)
                case ArtifactWritten():
                    self._ledger.artifact(written, self._directory)
        except OSError as error:
            _logger.exception("A file of the job could not be stored.", extra={"what": what})
            message = f"{what} could not be stored: {error}"
            self._own_verdict = Ended(reason=Reason.ARTIFACT_STORE_FAILED, message=message)
            child.signal(SIGKILL)

    def _renew(self, child: Child) -> None:
        if time.monotonic() >= self._next_renewal:
            if self._ledger.renew():
                self._ask(child, "cancel")
            self._next_renewal = time.monotonic() + min(RENEWAL_SECONDS, self._place.lease_seconds / 3)

    def _keep_deadlines(self, child: Child) -> None:
        now = time.monotonic()
        if not self._spoke and now - self._began_at >= self._place.patience.first_word:
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
            with suppress(ChildDeaf):  # TERM and KILL follow
                child.tell(Stop(why=why))

    def _press(self, child: Child, waited: float) -> None:
        patience = self._place.patience
        term, kill = patience.shutdown if self._place.stopping.is_set() else patience.stop
        if waited >= kill:
            child.signal(SIGKILL)
        elif waited >= term:
            child.signal(SIGTERM)

    # --- when it has ended --------------------------------------------------------------------------------------

    def _end(self, exit_code: int | None) -> None:
        match self._own_verdict or self._last_word or self._unsaid(exit_code):
            case Stopped():
                self._ledger.give_back("The worker was shut down; the job waits for another.")
            case Ended(reason=reason, message=message):
                self._ledger.finish(reason, message)
            case SnapshotRefused(message=message):
                assert self._snapshot is not None
                self._ledger.forget_snapshot(self._snapshot)
                self._ledger.lose(message.removesuffix("."))
            case None:
                said = deaths.in_words(exit_code).message.removesuffix(".")
                self._ledger.lose(said if self._spoke else "The training process never spoke and was ended")

    def _unsaid(self, exit_code: int | None) -> Ended | Stopped | None:
        """What the end of a child means that left without a last word; None if the job is not to blame for it."""
        match self._asked:
            case "shutdown":
                return Stopped()
            case "cancel":
                message = "The job was cancelled; its process had to be ended by force."
                return Ended(reason=Reason.CANCELLED_BY_USER, message=message)
            case "max_runtime":
                message = "The job had run for its max_runtime_seconds; its process had to be ended by force."
                return Ended(reason=Reason.MAX_RUNTIME, message=message)
        death = deaths.in_words(exit_code)
        if death.reason is None or not self._spoke:
            return None
        return Ended(reason=death.reason, message=deaths.with_last_lines(death.message, self._last_lines))
