"""The rows of snapshots: which are kept, and who may write them."""

from collections.abc import Callable
from typing import Any

import pytest

from service.db import Database
from service.store import actions, jobs, leases, snapshots
from service.store.leases import Lease, LeaseLost
from service.store.snapshots import SnapshotRecord

Submit = Callable[..., str]
Take = Callable[..., Any]


def record(database: Database, lease: Lease, epoch: int, step: int = 0) -> list[str]:
    key = f"snapshots/{lease.job_id}/{lease.attempt}-{epoch}-{step}"
    with database.write() as session:
        return snapshots.record(session, lease, SnapshotRecord(key, epoch, step, 10, "0" * 64))


def places(database: Database, job_id: str) -> list[tuple[int, int]]:
    with database.read() as session:
        return [(one.epoch, one.step) for one in snapshots.newest_first(session, job_id)]


def test_the_two_newest_are_kept(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    lease = take().lease
    replaced = [record(database, lease, *place) for place in [(0, 5), (1, 0), (1, 7), (2, 0)]]
    assert [len(keys) for keys in replaced] == [0, 0, 1, 1]
    assert replaced[2] == [f"snapshots/{job_id}/1-0-5"]
    assert places(database, job_id) == [(2, 0), (1, 7)]


def test_a_late_writer_stores_none(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    lease = take().lease
    with database.write() as session:
        leases.requeue(session, lease, "The worker shuts down.")
    take("w2")
    with pytest.raises(LeaseLost):
        record(database, lease, 3)
    assert places(database, job_id) == []


def test_one_that_is_of_no_use_is_forgotten(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    lease = take().lease
    record(database, lease, 1)
    record(database, lease, 2)
    with database.write() as session:
        snapshots.forget(session, lease, f"snapshots/{job_id}/1-2-0")
    assert places(database, job_id) == [(1, 0)]


def test_they_go_with_their_job(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    lease = take().lease
    record(database, lease, 1)
    with database.write() as session:
        actions.cancel(session, job_id)
        leases.requeue(session, lease, "The worker shuts down.")
        assert jobs.delete(session, job_id) == [f"snapshots/{job_id}/1-1-0"]
    assert places(database, job_id) == []
