"""Jobs that no worker claims in time end; whatever was claimed once does not."""

import pytest

from fitqueue.spec import parse_change
from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.models import Event
from service.store import events, job_changes, leases, queue_deadlines
from tests.integration.fixture_types import AdvanceClock, Claim, Perform, RegisterWorker, Submit, TryClaim
from tests.integration.store.operations import get_job, requeue


def _end_overdue(database: Database) -> list[str]:
    with database.read() as session:
        is_any = queue_deadlines.any_overdue(session)
    with database.write() as session:
        ended = queue_deadlines.end_overdue(session, 30)
    assert is_any == bool(ended)
    return ended


def _last_event(database: Database, job_id: str) -> Event:
    with database.read() as session:
        return events.tail(session, job_id, 1)[0]


def test_a_job_that_nobody_claims_ends_as_not_scheduled(
    database: Database, submit: Submit, advance_clock: AdvanceClock, register_worker: RegisterWorker
) -> None:
    job_id, other = submit(max_queued_seconds=60, resources={"pool": "gpu"}), submit()
    advance_clock(59)
    assert _end_overdue(database) == []
    advance_clock(1)
    register_worker("w1")
    assert _end_overdue(database) == [job_id]
    job = get_job(database, job_id)
    assert (job.state, job.reason, job.not_after) == (JobState.FAILED, Reason.NOT_SCHEDULED, None)
    assert "60 seconds" in (job.message or "")
    assert "a worker that serves the pool 'gpu'; none is alive" in (job.message or "")
    event = _last_event(database, job_id)
    assert (event.kind, event.data) == (EventKind.FAILED, {"reason": "not_scheduled"})
    assert _end_overdue(database) == []
    assert get_job(database, other).state is JobState.QUEUED


def test_an_overdue_job_is_not_claimed_even_if_nobody_has_ended_it(
    database: Database, submit: Submit, advance_clock: AdvanceClock, try_claim: TryClaim
) -> None:
    submit(max_queued_seconds=60)
    advance_clock(61)
    assert try_claim() is None
    with database.read() as session:
        assert leases.pools_with_work(session) == []


def test_a_job_that_was_claimed_may_wait_for_ever(
    database: Database, submit: Submit, claim: Claim, perform: Perform, advance_clock: AdvanceClock
) -> None:
    job_id = submit(max_queued_seconds=60)
    requeue(database, claim().lease)
    advance_clock(1000)
    assert _end_overdue(database) == []
    perform("pause", job_id)
    perform("resume", job_id)
    advance_clock(1000)
    assert _end_overdue(database) == []
    assert claim().lease.job_id == job_id


def test_a_pause_does_not_count(
    database: Database, submit: Submit, perform: Perform, advance_clock: AdvanceClock
) -> None:
    job_id = submit(max_queued_seconds=60)
    perform("pause", job_id)
    advance_clock(1000)
    assert _end_overdue(database) == []
    perform("resume", job_id)
    advance_clock(59)
    assert _end_overdue(database) == []
    advance_clock(1)
    assert _end_overdue(database) == [job_id]


@pytest.mark.parametrize(("seconds", "is_ended"), [(50, True), (200, False), (None, False)])
def test_a_changed_limit_counts_from_the_beginning_of_the_wait(
    database: Database, submit: Submit, advance_clock: AdvanceClock, seconds: int | None, is_ended: bool
) -> None:
    job_id = submit(max_queued_seconds=100)
    advance_clock(60)
    with database.write() as session:
        job_changes.change(session, job_id, parse_change({"max_queued_seconds": seconds}))
    assert _end_overdue(database) == ([job_id] if is_ended else [])
    advance_clock(60)
    assert _end_overdue(database) == []
