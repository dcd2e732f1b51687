"""Pausing and resuming jobs."""

from dataclasses import replace

import pytest

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.store import leases
from service.store.leases import Lease, StopRequests
from service.store.retry_policy import OUTAGE_DELAY_SECONDS
from tests.integration.fixture_types import AdvanceClock, Claim, Perform, Submit, TryClaim
from tests.integration.store.leaving import WAYS_TO_LEAVE
from tests.integration.store.operations import (
    KILLED,
    event_data,
    event_kinds,
    fail_attempt,
    finish,
    get_job,
    requeue,
    train_epoch,
)


def _renew(database: Database, lease: Lease) -> StopRequests | None:
    with database.write() as session:
        return leases.renew(session, lease, 30.0)


@pytest.mark.parametrize("way", WAYS_TO_LEAVE)
def test_a_running_job_is_paused_when_it_leaves_its_worker(
    way: str, database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, advance_clock: AdvanceClock,
    perform: Perform,
) -> None:  # fmt: skip
    job_id = submit()
    lease = claim().lease
    train_epoch(database, lease)
    perform("pause", job_id)
    assert _renew(database, lease) == StopRequests(cancel=False, pause=True)
    WAYS_TO_LEAVE[way](database, lease, advance_clock)

    job = get_job(database, job_id)
    assert (job.state, job.reason, job.finished_at) == (JobState.PAUSED, None, None)
    assert (job.worker_id, job.lease_expires_at, job.claimed_at, job.phase) == (None, None, None, None)
    assert (job.pause_requested_at, job.cancel_requested_at) == (None, None)
    assert job.failed_attempts == (way != "requeued")
    assert event_kinds(database, job_id)[-2:] == [EventKind.PAUSE_REQUESTED, EventKind.PAUSED]
    advance_clock(1_000)
    assert try_claim() is None
    with database.read() as session:
        assert leases.pools_with_work(session) == []
    seconds_used = job.seconds_used

    perform("resume", job_id)
    claimed = claim("w2")
    assert claimed.lease == Lease(job_id, 2, "w2")
    assert claimed.seconds_used == seconds_used, "the time of the pause does not count"
    assert _renew(database, claimed.lease) == StopRequests(cancel=False, pause=False)


def test_a_job_that_fails_its_last_attempt_is_not_paused(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit(max_attempts=1)
    lease = claim().lease
    perform("pause", job_id)
    fail_attempt(database, lease)
    job = get_job(database, job_id)
    assert (job.state, job.reason, job.pause_requested_at) == (JobState.FAILED, Reason.WORKER_LOST, None)


def test_resuming_withdraws_a_request_to_pause(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    perform("pause", job_id)
    for _ in range(2):
        job = perform("resume", job_id)
        assert (job.state, job.pause_requested_at) == (JobState.RUNNING, None)
    assert event_data(database, job_id)[-2:] == [
        (EventKind.PAUSE_REQUESTED, {"by": "ada"}),
        (EventKind.UNPAUSED, {"by": "ada"}),
    ]
    assert _renew(database, lease) == StopRequests(cancel=False, pause=False)
    assert requeue(database, lease).state is JobState.QUEUED


def test_a_job_that_ends_before_it_is_paused_has_ended(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    perform("pause", job_id)
    assert finish(database, lease)
    job = get_job(database, job_id)
    assert (job.state, job.pause_requested_at) == (JobState.SUCCEEDED, None)


def test_pausing_and_resuming_a_queued_job_ends_the_pause_after_its_failure(
    database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, advance_clock: AdvanceClock,
    perform: Perform,
) -> None:  # fmt: skip
    """Whoever resumes a job wants it to run now."""
    job_id = submit()
    for _ in range(2):
        advance_clock(OUTAGE_DELAY_SECONDS)
        fail_attempt(database, claim().lease)
    assert try_claim() is None
    perform("pause", job_id)
    perform("resume", job_id)
    assert claim().lease.attempt == 3


def test_resuming_a_job_that_was_paused_when_its_attempt_failed_ends_the_pause_after_the_failure(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    perform("pause", job_id)
    fail_attempt(database, lease, replace(KILLED, reason=Reason.STORAGE_FAILED))
    assert perform("resume", job_id).not_before is None
    assert claim().lease.attempt == 2
