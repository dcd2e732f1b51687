"""A disk that is full: the retention of projects frees it, and the jobs that waited for it go on. None is lost."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from fitqueue.errors import Expired
from fitqueue.retention import Retention
from fitqueue.states import EventKind, JobState, Reason
from service import clock
from service.db import Database
from service.models import LAB_ID, Job
from service.storage import FolderStorage, checkpoint_key
from service.store import attempt_outcomes, checkpoints, events, jobs, leases, recording, retention
from tests.reports import checkpoint_written
from tests.small_disk import SmallDisk
from tests.storages import new_storage

MIB = 1024**2
FILE_BYTES = 6 * MIB
LEASE_SECONDS = 30.0


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    if not disk.can_be_filled:
        assert "CI" not in os.environ
        pytest.skip("only root can mount a disk")
    yield disk
    disk.close()


@pytest.fixture
def storage(disk: SmallDisk) -> FolderStorage:
    return new_storage(disk.folder / "storage")


def ended_job(database: Database, storage: FolderStorage, spec: Any) -> str:
    """Return the id of a job that ended a year ago, whose best weights take a good part of the disk."""
    with database.write() as session:
        job_id = jobs.create(session, spec, []).id
        claimed = leases.claim(session, "w1", ("default",), [], 60.0)
    assert claimed is not None
    key = checkpoint_key(job_id, 1, "weights.h5")
    source = storage.temporary_folder() / "written"
    source.write_bytes(bytes(FILE_BYTES))
    storage.put(key, source)
    with database.write() as session:
        written = checkpoint_written(["best", "last"], size=FILE_BYTES)
        recording.record_checkpoint(session, leases.held_job(session, claimed.lease), written, key)
        assert attempt_outcomes.finish(session, claimed.lease, Reason.COMPLETED, "It was trained.")
        a_year_ago = clock.now(session) - timedelta(days=365)
        session.execute(update(Job).where(Job.id == job_id).values(finished_at=a_year_ago))
    return job_id


def test_retention_frees_a_full_disk_and_no_job_is_lost(
    database: Database, disk: SmallDisk, storage: FolderStorage, tmp_path: Path, make_spec: Callable[..., Any],
    run_worker: Any, until: Callable[..., Any], look_at: Callable[[Database, str], Job],
) -> None:  # fmt: skip
    old = [ended_job(database, storage, make_spec()) for _ in range(4)]
    kept = ended_job(database, storage, make_spec(keep=True))
    disk.fill()
    settings = {
        "database_url": str(database._engine.url),
        "redis_url": "redis://127.0.0.1:1/0",
        "lease_seconds": LEASE_SECONDS,
        "storage": disk.folder / "storage",
    }
    with database.write() as session:
        waiting = [jobs.create(session, make_spec(seed=seed), []).id for seed in (1, 2)]
    with run_worker(database, tmp_path, **settings) as worker:
        until(lambda: b"A file cannot be stored now" in worker.log.read_bytes())
        assert [look_at(database, job_id).state for job_id in waiting] == [JobState.RUNNING, JobState.QUEUED]
        with database.write() as session:
            retention.set(session, LAB_ID, Retention(checkpoints_days=180))
        for job_id in waiting:
            until(lambda job_id=job_id: look_at(database, job_id).state.is_final)
    ended = [look_at(database, job_id) for job_id in waiting]
    assert [(job.state, job.failed_attempts, job.epoch) for job in ended] == [(JobState.SUCCEEDED, 0, 5)] * 2
    with database.read() as session:
        for job_id in waiting:
            checkpoint = checkpoints.get(session, job_id, "best")
            assert storage.size(checkpoint.storage_key) == checkpoint.size
        for job_id in old:
            with pytest.raises(Expired, match="removed after 180 days by the retention of the project lab"):
                checkpoints.get(session, job_id, "best")
            assert _kinds(events.tail(session, job_id, 1)) == [EventKind.REMOVED]
        checkpoint = checkpoints.get(session, kept, "best")
        assert storage.size(checkpoint.storage_key) == FILE_BYTES


def _kinds(rows: Any) -> list[EventKind]:
    return [row.kind for row in rows]
