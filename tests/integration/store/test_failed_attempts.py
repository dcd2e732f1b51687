"""How a failed attempt changes its job. tests/unit/service/test_retry_policy.py tests the decision itself."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from fitqueue.reports import Position
from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.store import actions, attempt_outcomes, jobs
from service.store.leases import ClaimedJob
from service.store.retry_policy import OUTAGE_DELAY_SECONDS, STALL_DELAY_SECONDS, AttemptFailure
from tests.integration.fixture_types import AdvanceClock, Claim, Submit, TryClaim
from tests.integration.store.operations import (
    KILLED,
    event_kinds,
    events_of,
    expire_leases,
    fail_attempt,
    get_job,
    record_snapshot,
    requeue,
)

ClaimAgain = Callable[[], ClaimedJob]

DETAILS = "last line but one\nlast line"
OWN_REASONS = [Reason.OUT_OF_MEMORY, Reason.INTERNAL_ERROR, Reason.STORAGE_FAILED]


@pytest.fixture
def claim_again(claim: Claim, advance_clock: AdvanceClock) -> ClaimAgain:
    """A function that waits until every pause is over, and claims the job."""

    def claim_again() -> ClaimedJob:
        advance_clock(OUTAGE_DELAY_SECONDS)
        return claim()

    return claim_again


def last_event(database: Database, job_id: str) -> tuple[EventKind, str]:
    event = events_of(database, job_id)[-1]
    return event.kind, event.message


# --- Retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, *OWN_REASONS])
def test_the_first_failure_is_retried(
    reason: Reason | None, database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    job_id = submit()
    claimed = claim_again()
    assert claimed.stalled_attempts == 0
    job = fail_attempt(database, claimed.lease, replace(KILLED, reason=reason, details=DETAILS))
    assert (job.state, job.reason, job.failed_attempts, job.stalled_attempts) == (JobState.QUEUED, None, 1, 1)
    assert (job.worker_id, job.lease_expires_at, job.phase) == (None, None, None)
    assert last_event(database, job_id) == (
        EventKind.REQUEUED,
        f"The training process was killed (SIGKILL); the job is queued again.\n{DETAILS}",
    )
    assert claim_again().stalled_attempts == 1


@pytest.mark.parametrize("reason", [Reason.STORAGE_FAILED, Reason.INVALID_DATA, Reason.INVALID_MODEL])
def test_a_job_pauses_after_an_outage(
    reason: Reason, database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, advance_clock: AdvanceClock
) -> None:
    submit()
    fail_attempt(database, claim().lease, replace(KILLED, reason=reason))
    advance_clock(OUTAGE_DELAY_SECONDS - 1)
    assert try_claim() is None
    advance_clock(1)
    assert try_claim() is not None


def test_a_job_pauses_after_its_second_failure_at_one_position(
    database: Database, submit: Submit, try_claim: TryClaim, claim_again: ClaimAgain, advance_clock: AdvanceClock
) -> None:
    submit(max_attempts=20)
    fail_attempt(database, claim_again().lease)
    fail_attempt(database, claim_again().lease)
    assert try_claim() is None
    advance_clock(STALL_DELAY_SECONDS)
    claimed = try_claim()
    assert claimed is not None
    assert claimed.lease.attempt == 3


def test_two_failures_at_one_position_are_retried_if_the_second_is_not_the_jobs_own(
    database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    submit()
    fail_attempt(database, claim_again().lease, replace(KILLED, reason=Reason.INTERNAL_ERROR))
    job = fail_attempt(database, claim_again().lease)
    assert (job.state, job.failed_attempts, job.stalled_attempts) == (JobState.QUEUED, 2, 2)
    assert claim_again().stalled_attempts == 2, "by this number, the worker decides to skip the newest snapshot"


# --- Progress ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, *OWN_REASONS])
@pytest.mark.parametrize(
    ("first", "second"),
    [(Position(0, 3), Position(0, 4)), (Position(1, 0), Position(1, 1)), (Position(1, 9), Position(2, 0))],
    ids=str,
)
def test_a_new_snapshot_is_progress(
    first: Position, second: Position, reason: Reason | None, database: Database, submit: Submit,
    claim_again: ClaimAgain,
) -> None:  # fmt: skip
    submit(max_attempts=20)
    claimed = claim_again()
    record_snapshot(database, claimed.lease, first.epoch, first.step)
    fail_attempt(database, claimed.lease, replace(KILLED, reason=reason))
    for step in range(5):
        claimed = claim_again()
        record_snapshot(database, claimed.lease, second.epoch, second.step + step)
        job = fail_attempt(database, claimed.lease, replace(KILLED, reason=reason))
        assert (job.state, job.stalled_attempts) == (JobState.QUEUED, 1)


def test_a_snapshot_at_an_older_position_is_not_progress(
    database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    """An attempt resumes from an older snapshot, and trains again what was trained before."""
    submit()
    claimed = claim_again()
    record_snapshot(database, claimed.lease, 2)
    fail_attempt(database, claimed.lease)
    claimed = claim_again()
    record_snapshot(database, claimed.lease, 1)
    assert fail_attempt(database, claimed.lease).stalled_attempts == 2


# --- The end of the job -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", OWN_REASONS)
@pytest.mark.parametrize("position", [None, Position(0, 7), Position(3, 0), Position(3, 7)], ids=str)
def test_the_second_failure_of_the_jobs_own_at_one_position_ends_the_job(
    position: Position | None, reason: Reason, database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    submit()
    claimed = claim_again()
    if position is not None:
        record_snapshot(database, claimed.lease, position.epoch, position.step)
    failure = replace(KILLED, reason=reason)
    assert fail_attempt(database, claimed.lease, failure).state is JobState.QUEUED
    job = fail_attempt(database, claim_again().lease, replace(failure, details=DETAILS))
    assert (job.state, job.reason) == (JobState.FAILED, reason)
    assert job.message == (
        "The training process was killed (SIGKILL); this was attempt 2 in a row that failed at the same position.\n"
        f"{DETAILS}"
    )
    assert last_event(database, job.id) == (EventKind.FAILED, job.message)


@pytest.mark.parametrize("first", [None, Reason.OUT_OF_MEMORY])
def test_the_job_ends_with_the_reason_of_the_second_failure(
    first: Reason | None, database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    submit()
    fail_attempt(database, claim_again().lease, replace(KILLED, reason=first))
    job = fail_attempt(database, claim_again().lease, replace(KILLED, reason=Reason.INTERNAL_ERROR))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.INTERNAL_ERROR)


def test_the_third_failure_at_one_position_ends_the_job(
    database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    job_id = submit(max_attempts=20)
    claimed = claim_again()
    record_snapshot(database, claimed.lease, 1, 5)
    assert fail_attempt(database, claimed.lease).stalled_attempts == 1
    assert fail_attempt(database, claim_again().lease).stalled_attempts == 2
    job = fail_attempt(database, claim_again().lease, replace(KILLED, details=DETAILS))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.NO_PROGRESS)
    assert job.message == (
        f"The training process was killed (SIGKILL); 3 attempts in a row failed at the same position.\n{DETAILS}"
    )
    assert last_event(database, job_id)[0] is EventKind.FAILED


@pytest.mark.parametrize("reason", [None, *OWN_REASONS])
def test_the_last_attempt_ends_the_job_with_the_reason_of_its_failure(
    reason: Reason | None, database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    submit(max_attempts=2)
    fail_attempt(database, claim_again().lease, replace(KILLED, reason=reason))
    claimed = claim_again()
    record_snapshot(database, claimed.lease, 1)
    job = fail_attempt(database, claimed.lease, replace(KILLED, reason=reason))
    assert (job.state, job.reason) == (JobState.FAILED, reason or Reason.WORKER_LOST)
    assert job.message == "The training process was killed (SIGKILL); this was the last of 2 attempts."


def test_a_job_with_one_attempt_is_never_retried(database: Database, submit: Submit, claim_again: ClaimAgain) -> None:
    submit(max_attempts=1)
    job = fail_attempt(database, claim_again().lease, replace(KILLED, reason=Reason.OUT_OF_MEMORY))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.OUT_OF_MEMORY)


# --- Silent workers ---------------------------------------------------------------------------------------------------


def test_silent_workers_count_as_failures_at_one_position(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit(max_attempts=20)
    for _ in range(3):
        advance_clock(OUTAGE_DELAY_SECONDS)
        claim(seconds=30)
        advance_clock(31)
        pools = expire_leases(database)
    job = get_job(database, job_id)
    assert pools == []
    assert (job.state, job.reason) == (JobState.FAILED, Reason.NO_PROGRESS)


def test_a_job_fails_when_its_last_worker_is_silent(
    database: Database, submit: Submit, try_claim: TryClaim, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit(max_attempts=3)
    for failures in itertools.count(1):
        claimed = claim(seconds=30)
        assert claimed.seconds_used == pytest.approx(31 * (failures - 1), abs=5)
        advance_clock(31)
        pools = expire_leases(database)
        job = get_job(database, job_id)
        if job.state.is_final:
            break
        assert pools == ["default"]
        assert job.not_before is not None
        assert failures == 1 or try_claim() is None, "the job pauses"
        advance_clock(STALL_DELAY_SECONDS)
    assert pools == []
    assert (failures, job.reason, job.state) == (3, Reason.WORKER_LOST, JobState.FAILED)
    assert job.message == "The worker w1 was silent for too long; this was the last of 3 attempts."


# --- What does not count as a failure ---------------------------------------------------------------------------------


def test_an_orderly_shutdown_does_not_use_up_an_attempt(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit(max_attempts=1)
    for _ in range(3):
        requeue(database, claim().lease)
    job = get_job(database, job_id)
    assert (job.state, job.attempt, job.failed_attempts, job.worker_id) == (JobState.QUEUED, 3, 0, None)
    assert event_kinds(database, job_id).count(EventKind.REQUEUED) == 3


def test_an_orderly_shutdown_is_neither_a_failure_nor_progress(
    database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    submit(max_attempts=3)
    fail_attempt(database, claim_again().lease)
    for _ in range(4):
        job = requeue(database, claim_again().lease)
        assert (job.state, job.failed_attempts, job.stalled_attempts, job.not_before) == (JobState.QUEUED, 1, 1, None)
    assert fail_attempt(database, claim_again().lease).stalled_attempts == 2
    assert requeue(database, claim_again().lease).stalled_attempts == 2
    assert fail_attempt(database, claim_again().lease).reason is Reason.WORKER_LOST


def test_a_pause_is_neither_a_failure_nor_progress(database: Database, submit: Submit, claim_again: ClaimAgain) -> None:
    job_id = submit(max_attempts=3)
    fail_attempt(database, claim_again().lease)
    claimed = claim_again()
    with database.write() as session:
        actions.pause(session, job_id)
    job = requeue(database, claimed.lease)
    assert (job.state, job.failed_attempts, job.stalled_attempts) == (JobState.PAUSED, 1, 1)
    with database.write() as session:
        actions.resume(session, job_id)
    assert claim_again().stalled_attempts == 1


def test_a_cancelled_job_is_cancelled_whatever_ends_its_attempt(
    database: Database, submit: Submit, claim_again: ClaimAgain
) -> None:
    job_id = submit(max_attempts=1)
    claimed = claim_again()
    with database.write() as session:
        actions.cancel(session, job_id)
    job = fail_attempt(database, claimed.lease, replace(KILLED, reason=Reason.OUT_OF_MEMORY))
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


def test_an_outage_is_not_a_failed_attempt_however_often_it_happens(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit(max_attempts=1)
    outage = AttemptFailure("The disk is full", Reason.STORAGE_FAILED, is_outage=True)
    for outages, seconds in enumerate([10, 20, 40, 80, 160, 300, 300], 1):
        job = fail_attempt(database, claim().lease, outage)
        assert (job.state, job.failed_attempts, job.stalled_attempts, job.outages) == (JobState.QUEUED, 0, 0, outages)
        assert job.not_before is not None
        assert (job.not_before - events_of(database, job_id)[-1].at).total_seconds() == seconds
        advance_clock(seconds)
    lease = claim().lease
    record_snapshot(database, lease, 1)
    assert get_job(database, job_id).outages == 0, "files can be stored again"
    job = fail_attempt(database, lease, outage)
    assert (job.state, job.outages) == (JobState.QUEUED, 1)
    assert last_event(database, job_id) == (
        EventKind.REQUEUED,
        "The disk is full; the job is queued again, and goes on when that is mended.",
    )


def test_a_job_that_is_to_be_cancelled_does_not_wait_for_the_end_of_an_outage(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    lease = claim().lease
    with database.write() as session:
        actions.cancel(session, job_id)
    outage = AttemptFailure("The disk is full", Reason.STORAGE_FAILED, is_outage=True)
    assert fail_attempt(database, lease, outage).state is JobState.CANCELLED


def test_an_attempt_without_the_lease_cannot_fail(database: Database, submit: Submit, claim_again: ClaimAgain) -> None:
    job_id = submit()
    old = claim_again().lease
    fail_attempt(database, old)
    claim_again()
    with database.read() as session:
        before = jobs.version(session, job_id)
    for reason in (None, Reason.INTERNAL_ERROR):
        with database.write() as session:
            assert not attempt_outcomes.fail_attempt(session, old, replace(KILLED, reason=reason))
    with database.read() as session:
        assert jobs.version(session, job_id) == before
