"""The queue as a list: in the order of claims, with what each job waits for and since when."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from fitqueue.errors import InvalidRequest
from service.db import Database
from service.models import Event
from service.store import jobs, queue_position, tokens, waiting_jobs
from service.store.waiting_jobs import QueueFilter, WaitingJob
from tests.integration.fixture_types import AdvanceClock, Claim, MakeSpec, Perform, Submit, TryClaim
from tests.integration.store.operations import fail_attempt, finish, get_job, requeue
from tests.integration.store.test_queue_position import FULL_DISK


def _queue(database: Database, pool: str | None = None, limit: int = 100) -> list[WaitingJob]:
    """Return all pages of the queue."""
    waiting: list[WaitingJob] = []
    cursor = None
    while True:
        with database.read() as session:
            rows, cursor = waiting_jobs.list_page(session, QueueFilter(pool), cursor, limit, 30)
        waiting += rows
        if cursor is None:
            return waiting


def test_the_queue_is_listed_in_the_order_of_claims(database: Database, submit: Submit, try_claim: TryClaim) -> None:
    rng = random.Random(3)
    for _ in range(24):
        pool = rng.choice(["a", "b-c", "z"])
        submit(priority=rng.randint(-1, 1) * 100, resources={"pool": pool})
    finished = submit(resources={"pool": "a"}, priority=100)
    while (claimed := try_claim(pools=("a",))) is not None and claimed.lease.job_id != finished:
        pass
    listed = {limit: _queue(database, limit=limit) for limit in (1, 2, 5, 100)}
    order = [(row.job.id, row.position) for row in listed[100]]
    assert all([(row.job.id, row.position) for row in rows] == order for rows in listed.values())
    assert [row.job.pool for row in listed[100]] == sorted(row.job.pool for row in listed[100])
    with database.read() as session:
        positions = queue_position.read(session, [row.job for row in listed[100]], 30)
    assert dict(order) == {job_id: position.position for job_id, position in positions.items()}
    assert {row.job.id: row.waiting_for for row in listed[1]} == {
        job_id: position.waiting_for for job_id, position in positions.items()
    }
    for pool in ("a", "b-c", "z", "none"):
        of_pool = [row.job.id for row in listed[100] if row.job.pool == pool]
        for limit in (1, 3, 100):
            assert [row.job.id for row in _queue(database, pool, limit)] == of_pool
        claimed_ids = []
        while (claimed := try_claim(pools=(pool,))) is not None:
            claimed_ids.append(claimed.lease.job_id)
        assert claimed_ids == of_pool


def test_jobs_that_are_claimed_between_two_pages_move_no_other(
    database: Database, submit: Submit, claim: Claim
) -> None:
    ids = [submit() for _ in range(5)]
    with database.read() as session:
        _, cursor = waiting_jobs.list_page(session, QueueFilter(), None, 2, 30)
    for _ in range(2):
        claim()
    with database.read() as session:
        rows, _ = waiting_jobs.list_page(session, QueueFilter(), cursor, 10, 30)
    assert [(row.job.id, row.position) for row in rows] == [(ids[2], 1), (ids[3], 2), (ids[4], 3)]


def test_a_job_waits_since_it_was_queued_last(
    database: Database, submit: Submit, claim: Claim, perform: Perform, advance_clock: AdvanceClock
) -> None:
    job_id = submit()

    def seconds() -> int:
        [row] = _queue(database)
        assert row.job.id == job_id
        return round((row.since - get_job(database, job_id).created_at) / timedelta(seconds=60))

    assert seconds() == 0
    advance_clock(60)
    assert seconds() == 0
    requeue(database, claim().lease)
    assert seconds() == 1
    advance_clock(60)
    fail_attempt(database, claim().lease, FULL_DISK)
    assert seconds() == 2
    advance_clock(60)
    perform("pause", job_id)
    assert _queue(database) == []
    advance_clock(60)
    perform("resume", job_id)
    assert seconds() == 4
    with database.read() as session:
        newest = session.scalar(select(func.max(Event.at)).where(Event.job_id == job_id))
    assert [row.since for row in _queue(database)] == [newest]
    assert finish(database, claim().lease)
    assert _queue(database) == []


def test_a_waiting_job_has_its_labels_and_who_submitted_it(database: Database, make_spec: MakeSpec, ada: str) -> None:
    spec = make_spec(labels={"team": "vision"}, resources={"gpus": 2})
    with database.write() as session:
        for token_id in (ada, None, "tok_unknown"):
            jobs.create(session, spec, [], token_id=token_id)
    rows = _queue(database)
    assert [row.ownership.submitted_by for row in rows] == ["ada", None, None]
    assert all((row.labels, row.job.gpus) == ({"team": "vision"}, 2) for row in rows)
    with database.write() as session:
        tokens.revoke(session, ada)
    assert _queue(database)[0].ownership.submitted_by == "ada"


@pytest.mark.parametrize("cursor", ["", "job_1", "1.2", "x.job_1.a", "1000.job_1.a", "0..a", "0.job_1."])
def test_a_cursor_that_no_page_has_given_is_refused(database: Database, cursor: str) -> None:
    with database.read() as session, pytest.raises(InvalidRequest) as caught:
        waiting_jobs.list_page(session, QueueFilter(), cursor, 1, 30)
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("cursor", "invalid_cursor")]
