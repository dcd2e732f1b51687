"""The rows of snapshots: which are kept, and who may write them."""

import pytest

from fitqueue.reports import Position
from fitqueue.states import EventKind
from service.db import Database
from service.store import actions, attempt_outcomes, deletions, jobs, leases, snapshots
from service.store.leases import Lease, LeaseLost
from service.store.retry_policy import OUTAGE_DELAY_SECONDS
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.integration.store.operations import event_data, fail_attempt, record_snapshot, requeue, snapshot_key_of


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
    forget(database, lease, Position(2))
    assert positions(database, job_id) == [Position(1)]
    assert event_data(database, job_id)[-1] == (
        EventKind.SNAPSHOT_DISCARDED,
        {"epoch": 2, "step": 0, "attempt": 1},
    )


def test_a_new_attempt_keeps_its_snapshots_although_earlier_ones_are_farther(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    first = claim().lease
    record_snapshot(database, first, 8)
    record_snapshot(database, first, 9)
    requeue(database, first)
    second = claim("w2").lease
    assert record_snapshot(database, second, 1) == [snapshot_key_of(first, 8)]
    assert positions(database, job_id) == [Position(1), Position(9)]
    assert record_snapshot(database, second, 2) == [snapshot_key_of(first, 9)]
    assert positions(database, job_id) == [Position(2), Position(1)]


def test_losses_behind_a_snapshot_that_was_discarded_are_not_stalls(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    """Each attempt gets farther than the one before, although not as far as the first one."""
    job_id = submit(max_attempts=20)
    lease = claim().lease
    record_snapshot(database, lease, 9)
    fail_attempt(database, lease)
    for epoch in range(1, 6):
        advance_clock(OUTAGE_DELAY_SECONDS)
        lease = claim().lease
        if epoch == 1:
            forget(database, lease, Position(9))
        record_snapshot(database, lease, epoch)
        assert fail_attempt(database, lease).stalled_attempts == 1
    assert positions(database, job_id) == [Position(5), Position(4)]


def forget(database: Database, lease: Lease, position: Position) -> None:
    with database.write() as session:
        [snapshot] = [row for row in snapshots.newest_first(session, lease.job_id) if row.position == position]
        snapshots.forget(session, leases.held_job(session, lease), snapshot, "The snapshot cannot be used.")


def test_snapshots_are_deleted_with_their_job(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    lease = claim().lease
    record_snapshot(database, lease, 1)
    with database.write() as session:
        actions.cancel(session, job_id)
        attempt_outcomes.requeue(session, lease, "The worker was shut down.")
        jobs.delete(session, job_id)
    with database.write() as session:
        assert deletions.delete_some(session) == [snapshot_key_of(lease, 1)]
    assert positions(database, job_id) == []
