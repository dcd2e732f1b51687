"""What follows a failed attempt: another one after a delay, or the end of the job. Pure functions."""

from dataclasses import dataclass
from typing import Final

from fitqueue.reports import Position
from fitqueue.states import Reason

STALL_DELAY_SECONDS: Final = 2.0
"""The delay for a job that has failed at this position before: a job that kills workers must not do so often."""
OUTAGE_DELAY_SECONDS: Final = 10.0
"""The delay after a failure that time may mend: a moment later the network is still down."""
FIRST_WAIT_SECONDS: Final = 10.0
LONGEST_WAIT_SECONDS: Final = 300.0
"""How long a job waits for a disk or the storage: twice as long after each attempt that could store nothing."""
MAX_STALLED_ATTEMPTS_WITH_REASON: Final = 2
"""Attempts in a row at one position of which the last failed with a reason of its own."""
MAX_STALLED_ATTEMPTS: Final = 3
"""Attempts in a row at one position, whatever ended them."""

_OUTAGES: Final = frozenset({Reason.STORAGE_FAILED, Reason.INVALID_DATA, Reason.INVALID_MODEL})
"""Reasons of an attempt that time may mend: a full disk or a dead storage, data or weights that were not downloaded."""


@dataclass(frozen=True)
class AttemptFailure:
    """A failed attempt that may not be the job's fault."""

    why: str
    """A sentence for people, without its full stop."""
    reason: Reason | None = None
    """What the job ends with if this happens again at the same position; None if it cannot be the job's fault."""
    details: str = ""
    """More lines for people."""
    is_outage: bool = False
    """Whether a full disk or a storage that is down caused it. Then it does not count, and the job waits for as long as
    that takes."""

    def message(self, consequence: str) -> str:
        return "\n".join(filter(None, [f"{self.why}; {consequence}.", self.details]))


@dataclass(frozen=True)
class AttemptHistory:
    """What is known of a job before this attempt failed."""

    failed_attempts: int
    max_attempts: int
    stalled_attempts: int
    """How many attempts in a row failed at `stalled_at`."""
    stalled_at: Position | None
    resumes_at: Position
    """Where the next attempt would resume."""
    is_cancelled: bool
    """Whether a user has asked to cancel it."""
    outages: int = 0
    """How many attempts in a row met an outage and could store no snapshot."""


@dataclass(frozen=True)
class Retry:
    """The job is queued again, and may be claimed after `delay_seconds`."""

    message: str
    delay_seconds: float
    stalled_attempts: int
    stalled_at: Position


@dataclass(frozen=True)
class Wait:
    """The job is queued again as if the attempt had not been, and may be claimed after `delay_seconds`."""

    message: str
    delay_seconds: float


@dataclass(frozen=True)
class Fail:
    """The job ends."""

    reason: Reason
    message: str


def retry_or_fail(failure: AttemptFailure, history: AttemptHistory) -> Retry | Wait | Fail:
    """Decide what follows a failed attempt.

    After an outage the job waits, however often that happens.

    The job ends if this attempt failed with a reason of its own and the attempt before it failed at the same position,
    or behind it, whatever its reason; if this was the last of `max_attempts`; or if three attempts in a row made no
    progress. A job that is to be cancelled always leaves its worker as if it were requeued.
    """
    if failure.is_outage:
        delay = min(FIRST_WAIT_SECONDS * 2 ** min(history.outages, 16), LONGEST_WAIT_SECONDS)
        return Wait(failure.message("the job is queued again, and goes on when that is mended"), delay)
    # An attempt that resumed from an older snapshot may have ended before the position of the earlier failures.
    has_stalled = history.stalled_at is not None and history.resumes_at <= history.stalled_at
    stalled = history.stalled_attempts + 1 if has_stalled else 1
    fail = None if history.is_cancelled else _final_failure(failure, history, stalled)
    if fail is not None:
        return fail
    return Retry(
        message=failure.message("the job is queued again"),
        delay_seconds=_delay_seconds(stalled, failure.reason),
        stalled_attempts=stalled,
        stalled_at=max(history.resumes_at, history.stalled_at or history.resumes_at),
    )


def _final_failure(failure: AttemptFailure, history: AttemptHistory, stalled: int) -> Fail | None:
    if failure.reason is not None and stalled >= MAX_STALLED_ATTEMPTS_WITH_REASON:
        message = failure.message(f"this was attempt {stalled} in a row that failed at the same position")
        return Fail(failure.reason, message)
    if history.failed_attempts + 1 >= history.max_attempts:
        attempts = f"the last of {history.max_attempts} attempts" if history.max_attempts > 1 else "the only attempt"
        message = failure.message(f"this was {attempts}")
        return Fail(failure.reason or Reason.WORKER_LOST, message)
    if stalled >= MAX_STALLED_ATTEMPTS:
        return Fail(Reason.NO_PROGRESS, failure.message(f"{stalled} attempts in a row failed at the same position"))
    return None


def _delay_seconds(stalled_attempts: int, reason: Reason | None) -> float:
    if reason in _OUTAGES:
        return OUTAGE_DELAY_SECONDS
    return STALL_DELAY_SECONDS if stalled_attempts > 1 else 0.0
