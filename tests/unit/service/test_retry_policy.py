"""The decision that follows a failed attempt, as a pure function."""

from dataclasses import replace
from typing import Final

import pytest

from fitqueue.reports import Position
from fitqueue.states import Reason
from service.store.retry_policy import AttemptFailure, AttemptHistory, Fail, Retry, Wait, retry_or_fail

WHY: Final = "The training process was killed (SIGKILL)"
DETAILS: Final = "last line but one\nlast line"
QUEUED_AGAIN: Final = f"{WHY}; the job is queued again."

START: Final = Position(0)
MIDDLE: Final = Position(3, 7)

FIRST: Final = AttemptHistory(
    failed_attempts=0, max_attempts=5, stalled_attempts=0, stalled_at=None, resumes_at=START, is_cancelled=False
)
"""No attempt has failed yet."""
SECOND_AT_START: Final = replace(FIRST, failed_attempts=1, stalled_attempts=1, stalled_at=START)
SECOND_IN_MIDDLE: Final = replace(FIRST, failed_attempts=1, stalled_attempts=1, stalled_at=MIDDLE, resumes_at=MIDDLE)
THIRD_IN_MIDDLE: Final = replace(SECOND_IN_MIDDLE, failed_attempts=2, stalled_attempts=2)

LOST: Final = AttemptFailure(WHY)
OUT_OF_MEMORY: Final = AttemptFailure(WHY, Reason.OUT_OF_MEMORY)
INTERNAL_ERROR: Final = AttemptFailure(WHY, Reason.INTERNAL_ERROR)
STORAGE_FAILED: Final = AttemptFailure(WHY, Reason.STORAGE_FAILED)
INVALID_DATA: Final = AttemptFailure(WHY, Reason.INVALID_DATA)
INVALID_MODEL: Final = AttemptFailure(WHY, Reason.INVALID_MODEL)

RETRIES: dict[str, tuple[AttemptFailure, AttemptHistory, Retry]] = {
    "first lost worker": (LOST, FIRST, Retry(QUEUED_AGAIN, 0.0, 1, START)),
    "first failure of the job's own": (OUT_OF_MEMORY, FIRST, Retry(QUEUED_AGAIN, 0.0, 1, START)),
    "first failure in the middle": (
        INTERNAL_ERROR, replace(FIRST, resumes_at=MIDDLE), Retry(QUEUED_AGAIN, 0.0, 1, MIDDLE),
    ),
    "details follow the sentence": (
        replace(LOST, details=DETAILS), FIRST, Retry(f"{QUEUED_AGAIN}\n{DETAILS}", 0.0, 1, START),
    ),
    "second lost worker at the start": (LOST, SECOND_AT_START, Retry(QUEUED_AGAIN, 2.0, 2, START)),
    "second lost worker in the middle": (LOST, SECOND_IN_MIDDLE, Retry(QUEUED_AGAIN, 2.0, 2, MIDDLE)),
    "second failure of the job's own, with progress": (
        OUT_OF_MEMORY, replace(SECOND_IN_MIDDLE, resumes_at=Position(3, 8)),
        Retry(QUEUED_AGAIN, 0.0, 1, Position(3, 8)),
    ),
    "third lost worker, with progress": (
        LOST, replace(THIRD_IN_MIDDLE, resumes_at=Position(4)), Retry(QUEUED_AGAIN, 0.0, 1, Position(4)),
    ),
    "full disk": (STORAGE_FAILED, FIRST, Retry(QUEUED_AGAIN, 10.0, 1, START)),
    "full disk, without progress, to be cancelled": (
        STORAGE_FAILED, replace(SECOND_AT_START, is_cancelled=True), Retry(QUEUED_AGAIN, 10.0, 2, START),
    ),
    "behind the position of the failure before, from an older snapshot": (
        LOST, replace(SECOND_IN_MIDDLE, resumes_at=Position(3, 1)), Retry(QUEUED_AGAIN, 2.0, 2, MIDDLE),
    ),
    "failed download of the data": (INVALID_DATA, FIRST, Retry(QUEUED_AGAIN, 10.0, 1, START)),
    "failed download of the weights": (INVALID_MODEL, FIRST, Retry(QUEUED_AGAIN, 10.0, 1, START)),
    "last but one of the attempts": (
        LOST, replace(FIRST, failed_attempts=3), Retry(QUEUED_AGAIN, 0.0, 1, START),
    ),
    "cancelled, the same failure twice": (
        OUT_OF_MEMORY, replace(SECOND_AT_START, is_cancelled=True), Retry(QUEUED_AGAIN, 2.0, 2, START),
    ),
    "cancelled, the last of the attempts": (
        LOST, replace(FIRST, max_attempts=1, is_cancelled=True), Retry(QUEUED_AGAIN, 0.0, 1, START),
    ),
    "cancelled, three attempts without progress": (
        LOST, replace(THIRD_IN_MIDDLE, is_cancelled=True), Retry(QUEUED_AGAIN, 2.0, 3, MIDDLE),
    ),
}  # fmt: skip

FAILURES: dict[str, tuple[AttemptFailure, AttemptHistory, Fail]] = {
    "the same failure twice at the start": (
        OUT_OF_MEMORY, SECOND_AT_START,
        Fail(Reason.OUT_OF_MEMORY, f"{WHY}; this was attempt 2 in a row that failed at the same position."),
    ),
    "the same failure twice in the middle": (
        STORAGE_FAILED, SECOND_IN_MIDDLE,
        Fail(Reason.STORAGE_FAILED, f"{WHY}; this was attempt 2 in a row that failed at the same position."),
    ),
    "different reasons: a failure of the job's own after two lost workers": (
        INTERNAL_ERROR, THIRD_IN_MIDDLE,
        Fail(Reason.INTERNAL_ERROR, f"{WHY}; this was attempt 3 in a row that failed at the same position."),
    ),
    "the last of the attempts, a lost worker": (
        LOST, replace(FIRST, failed_attempts=4),
        Fail(Reason.WORKER_LOST, f"{WHY}; this was the last of 5 attempts."),
    ),
    "the last of the attempts, a failure of the job's own": (
        OUT_OF_MEMORY, replace(FIRST, failed_attempts=4),
        Fail(Reason.OUT_OF_MEMORY, f"{WHY}; this was the last of 5 attempts."),
    ),
    "the only attempt": (
        OUT_OF_MEMORY, replace(FIRST, max_attempts=1),
        Fail(Reason.OUT_OF_MEMORY, f"{WHY}; this was the only attempt."),
    ),
    "the last of the attempts, and the third without progress": (
        LOST, replace(THIRD_IN_MIDDLE, max_attempts=3),
        Fail(Reason.WORKER_LOST, f"{WHY}; this was the last of 3 attempts."),
    ),
    "the last of the attempts, and the same failure twice": (
        OUT_OF_MEMORY, replace(SECOND_AT_START, max_attempts=2),
        Fail(Reason.OUT_OF_MEMORY, f"{WHY}; this was attempt 2 in a row that failed at the same position."),
    ),
    "three attempts without progress": (
        LOST, THIRD_IN_MIDDLE,
        Fail(Reason.NO_PROGRESS, f"{WHY}; 3 attempts in a row failed at the same position."),
    ),
    "three attempts, the last one behind the others": (
        LOST, replace(THIRD_IN_MIDDLE, resumes_at=Position(3, 1)),
        Fail(Reason.NO_PROGRESS, f"{WHY}; 3 attempts in a row failed at the same position."),
    ),
    "details follow the sentence": (
        replace(LOST, details=DETAILS), THIRD_IN_MIDDLE,
        Fail(Reason.NO_PROGRESS, f"{WHY}; 3 attempts in a row failed at the same position.\n{DETAILS}"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("failure", "history", "outcome"), RETRIES.values(), ids=RETRIES)
def test_a_failed_attempt_is_retried(failure: AttemptFailure, history: AttemptHistory, outcome: Retry) -> None:
    assert retry_or_fail(failure, history) == outcome


@pytest.mark.parametrize(("failure", "history", "outcome"), FAILURES.values(), ids=FAILURES)
def test_a_failed_attempt_ends_the_job(failure: AttemptFailure, history: AttemptHistory, outcome: Fail) -> None:
    assert retry_or_fail(failure, history) == outcome


@pytest.mark.parametrize(
    ("outages", "seconds"), [(0, 10.0), (1, 20.0), (2, 40.0), (4, 160.0), (5, 300.0), (10_000, 300.0)]
)
@pytest.mark.parametrize(
    "history", [FIRST, THIRD_IN_MIDDLE, replace(FIRST, failed_attempts=4), replace(FIRST, max_attempts=1)]
)
def test_a_job_waits_for_the_end_of_an_outage_however_long(
    history: AttemptHistory, outages: int, seconds: float
) -> None:
    outage = replace(STORAGE_FAILED, is_outage=True)
    message = f"{WHY}; the job is queued again, and goes on when that is mended."
    assert retry_or_fail(outage, replace(history, outages=outages)) == Wait(message, seconds)
