"""What follows from the end of an attempt: pure functions from what is known to a decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.states import Reason
from service.store.retry_policy import AttemptFailure
from workers.shared.protocol import Ended, LastMessage, SnapshotRefused, StopCause, Stopped
from workers.supervisor import exit_reason
from workers.supervisor.storage_calls import is_outage

_LEFT_WORKER: Final[dict[StopCause, str]] = {
    "shutdown": "The worker was shut down; the job is queued again.",
    "drain": "The worker was drained; the job is queued again.",
    "pause": "The job left its worker, and is paused.",
    "preempt": "The job made room for another one; it is queued again, and goes on when a device is idle.",
}
_ENDED_BY_FORCE: Final[dict[StopCause, Ended]] = {
    "cancel": Ended(
        reason=Reason.CANCELLED_BY_USER, message="The job was cancelled; its process had to be ended by force."
    ),
    "max_runtime": Ended(
        reason=Reason.MAX_RUNTIME,
        message="The job had run for its max_runtime_seconds; its process had to be ended by force.",
    ),
}


@dataclass(frozen=True)
class Finish:
    """The job ends."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Requeue:
    """The job goes back into the queue, without a failed attempt."""

    why: str
    """A sentence for people."""
    preempted: bool = False
    """Whether it made room for another job."""


@dataclass(frozen=True)
class FailAttempt:
    """The attempt failed, and counts."""

    failure: AttemptFailure
    forget_snapshot: bool = False
    """Whether the snapshot that it was to resume from cannot be used."""


Outcome = Finish | Requeue | FailAttempt


@dataclass(frozen=True)
class AttemptEnd:
    """What is known of an attempt whose child has ended."""

    last_message: LastMessage | None
    exit_code: int | None
    stop_cause: StopCause | None
    """Why the child was asked to stop; None if it was not."""
    was_active: bool
    """Whether the child sent or printed anything."""
    silent_seconds: float | None = None
    """How long the child had been silent when it was killed for that; None if it was not."""
    last_lines: Sequence[str] = ()
    memory_bound: int | None = None
    """The memory that the job may take, if its child was killed because it took more."""
    upload_failure: str | None = None
    """Why a file could not be stored."""
    is_outage: bool = False
    """Whether that was due to a full disk or a storage that is down."""
    has_reached_limit: bool = False
    """Whether that was due to a limit of the service."""
    is_upload_abandoned: bool = False
    """Whether the worker shut down before all files were stored."""
    unsaved_path: str | None = None
    """Where the files are that were not stored; None if there are none."""


def before_training(cause: StopCause) -> Outcome:
    """Decide about a job that was stopped before its training began."""
    if cause == "cancel":
        return Finish(Reason.CANCELLED_BY_USER, "The job was cancelled before training began.")
    return _left_worker(cause)


def on_error(error: BaseException) -> Outcome:
    """Decide about a job that the worker could not train, because of an error of its own."""
    if is_outage(error):
        return FailAttempt(AttemptFailure(f"The worker cannot fetch what the job needs ({error})", is_outage=True))
    # It counts as a failed attempt; otherwise a broken worker would claim every job again and again.
    why = f"The worker could not train the job ({type(error).__name__}: {error})"[:500]
    return FailAttempt(AttemptFailure(why))


def after_training(end: AttemptEnd) -> Outcome:
    """Decide about a job whose child has ended.

    What the worker knows counts more than the child's last message, and that counts more than the exit code.
    """
    if end.has_reached_limit:
        return Finish(Reason.LIMIT_REACHED, f"{end.upload_failure}.")
    unsaved = f"; the files that were not stored are in {end.unsaved_path}" if end.unsaved_path else ""
    if end.is_upload_abandoned:
        return Requeue(f"The worker was shut down before all files were stored{unsaved}; the job is queued again.")
    if end.upload_failure is not None:
        return _storage_failed(f"{end.upload_failure}{unsaved}", end.is_outage)
    match end.last_message:
        case Stopped():
            return _left_worker(end.stop_cause)
        case SnapshotRefused(message=message):
            return FailAttempt(AttemptFailure(message.removesuffix(".")), forget_snapshot=True)
        case Ended(reason=Reason.STORAGE_FAILED) as ended:
            return _storage_failed(ended.message.removesuffix("."), ended.may_recover)
        case Ended(may_recover=True) as ended:
            return _fail(ended.message.removesuffix("."), ended.reason)
        case Ended() as ended:
            return Finish(ended.reason, ended.message)
        case None:
            return _without_last_message(end)


def _without_last_message(end: AttemptEnd) -> Outcome:
    if end.stop_cause in _LEFT_WORKER:
        return _left_worker(end.stop_cause)
    if end.stop_cause is not None:
        ended = _ENDED_BY_FORCE[end.stop_cause]
        return Finish(ended.reason, ended.message)
    if end.silent_seconds is not None:
        sent = f"sent nothing for {end.silent_seconds:g} s" if end.was_active else "never sent a message"
        return _fail(f"The training process {sent} and was killed")
    if end.memory_bound is not None:
        message = f"The job took more than the {end.memory_bound / 2**20:,.0f} MiB of memory that a job may take here."
        return Finish(Reason.OUT_OF_MEMORY, f"{message} A smaller batch_size or smaller data may help.")
    exited = exit_reason.explain(end.exit_code)
    # A child that sent nothing cannot have been killed by its job. Otherwise the first time may be the machine's doing.
    reason = exited.reason if end.was_active else None
    return _fail(exited.message.removesuffix("."), reason, exit_reason.last_lines(end.last_lines))


def _left_worker(cause: StopCause | None) -> Requeue:
    return Requeue(_LEFT_WORKER[cause if cause in _LEFT_WORKER else "shutdown"], preempted=cause == "preempt")


def _fail(why: str, reason: Reason | None = None, details: str = "") -> FailAttempt:
    return FailAttempt(AttemptFailure(why, reason, details))


def _storage_failed(why: str, is_outage: bool) -> FailAttempt:
    return FailAttempt(AttemptFailure(why, Reason.STORAGE_FAILED, is_outage=is_outage))
