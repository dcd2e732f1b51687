"""The rows of snapshots: which are kept, and who may write them."""

import pytest

from fitqueue.reports import Position
from service.db import Database
from service.store import actions, deletions, jobs, leases, snapshots
from service.store.leases import LeaseLost
from tests.integration.fixture_types import Claim, Submit
from tests.integration.store.operations import record_snapshot, requeue, snapshot_key_of


def positions(database: Database, job_id: str) -> list[Position]:
    with database.read() as session:
        return [snapshot.position for snapshot in snapshots.newest_first(session, job_id)]


def test_the_newest_two_snapshots_are_kept(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    lease = claim().lease
    replaced = [record_snapshot(database, lease, epoch, step) for epoch, step in [(0, 5), (1, 0), (1, 7), (2, 0)]]
    assert [len(keys) for keys in replaced] == [0, 0, 1, 1]
    assert replaced[2] == [snapshot_key_of(lease, 0, 5)]
    assert positions(database, job_id) == [Position(2), Position(1, 7)]


def test_an_attempt_without_the_lease_cannot_record_a_snapshot(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    lease = claim().lease
    requeue(database, lease)
    claim("w2")
    with pytest.raises(LeaseLost):
        record_snapshot(database, lease, 3)
    assert positions(database, job_id) == []


def test_a_snapshot_that_cannot_be_used_is_forgotten(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    lease = claim().lease
    record_snapshot(database, lease, 1)
    record_snapshot(database, lease, 2)
    with database.write() as session:
        snapshots.forget(session, snapshot_key_of(lease, 2))
    assert positions(database, job_id) == [Position(1)]


def test_snapshots_are_deleted_with_their_job(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    lease = claim().lease
    record_snapshot(database, lease, 1)
    with database.write() as session:
        actions.cancel(session, job_id)
        leases.requeue(session, lease, "The worker was shut down.")
        jobs.delete(session, job_id)
    with database.write() as session:
        assert deletions.delete_some(session) == [snapshot_key_of(lease, 1)]
    assert positions(database, job_id) == []
