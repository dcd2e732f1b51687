"""Cancelling jobs."""

import threading
from collections.abc import Callable

import pytest

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.store import actions, leases
from service.store.leases import StopRequests
from tests.integration.fixture_types import AdvanceClock, Claim, Perform, Submit
from tests.integration.store.leaving import WAYS_TO_LEAVE
from tests.integration.store.operations import event_kinds, expire_leases, finish, get_job, requeue


def test_a_queued_job_is_cancelled_at_once(database: Database, submit: Submit) -> None:
    job_id = submit()
    for _ in range(2):
        with database.write() as session:
            job = actions.cancel(session, job_id)
            assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)
    assert event_kinds(database, job_id) == [EventKind.SUBMITTED, EventKind.CANCELLED]


def test_a_running_job_is_asked_to_stop(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    claimed = claim()
    answers = []
    for _ in range(2):
        with database.write() as session:
            job = actions.cancel(session, job_id)
            answers.append((job.state, job.cancel_requested_at, job.version))
    assert answers[0] == answers[1]
    state, cancel_requested_at, _ = answers[0]
    assert state is JobState.RUNNING
    assert cancel_requested_at is not None
    assert finish(database, claimed.lease, Reason.CANCELLED_BY_USER)
    with database.write() as session:
        assert actions.cancel(session, job_id).state is JobState.CANCELLED


def test_a_request_to_cancel_outlives_the_worker(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    lost, shut_down = submit(), submit()
    claim("w1", seconds=30)
    claimed = claim("w2", seconds=90)
    with database.write() as session:
        actions.cancel(session, lost)
        actions.cancel(session, shut_down)
    requeue(database, claimed.lease)
    advance_clock(31)
    assert expire_leases(database) == []
    for job_id in (lost, shut_down):
        job = get_job(database, job_id)
        assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


@pytest.mark.parametrize("first", ["pause", "cancel"])
@pytest.mark.parametrize("way", WAYS_TO_LEAVE)
def test_a_request_to_cancel_overrides_one_to_pause(
    first: str, way: str, database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock,
    perform: Perform,
) -> None:  # fmt: skip
    job_id = submit(max_attempts=1)
    lease = claim().lease
    for action in (first, {"pause": "cancel", "cancel": "pause"}[first]):
        perform(action, job_id)
    with database.write() as session:
        assert leases.renew(session, lease, 30.0) == StopRequests(cancel=True, pause=True)
    WAYS_TO_LEAVE[way](database, lease, advance_clock)
    job = get_job(database, job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)
    assert (job.lease_expires_at, job.pause_requested_at) == (None, None)
    assert EventKind.PAUSED not in event_kinds(database, job_id)


def test_resuming_does_not_withdraw_a_request_to_cancel(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    for action in ("pause", "cancel", "resume"):
        perform(action, job_id)
    assert requeue(database, lease).state is JobState.CANCELLED


def test_concurrent_claims_and_cancellations_lose_no_request(
    database: Database, submit: Submit, perform: Perform
) -> None:
    """A cancelled job is never claimed, and a claimed one is asked to stop."""
    ids = [submit() for _ in range(20)]
    start = threading.Barrier(2)
    claimed_ids: list[str] = []
    errors: list[BaseException] = []

    def collect_errors(work: Callable[[], None]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    def cancel_all() -> None:
        for job_id in reversed(ids):
            perform("cancel", job_id)

    def claim_all() -> None:
        while True:
            with database.write() as session:
                claimed = leases.claim(session, "w1", ["default"], [], 30.0)
            if claimed is None:
                return
            claimed_ids.append(claimed.lease.job_id)

    threads = [threading.Thread(target=collect_errors, args=(work,)) for work in (cancel_all, claim_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for job_id in ids:
        job, kinds = get_job(database, job_id), event_kinds(database, job_id)
        if job_id in claimed_ids:
            assert (job.state, job.attempt) == (JobState.RUNNING, 1)
            assert job.cancel_requested_at is not None
        else:
            assert (job.state, job.attempt) == (JobState.CANCELLED, 0)
        assert (EventKind.CLAIMED in kinds) == (job_id in claimed_ids)
