"""What is swept from the storage, and above all what is not."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from fitqueue.datasets import ArrayInfo
from service.db import Database
from service.storage import FolderStorage, artifact_key, checkpoint_key, dataset_key, snapshot_key
from service.store import datasets, leases, recording, snapshots
from service.store.leases import Lease
from service.sweeping import sweep
from tests.integration.fixture_types import Claim, Submit
from tests.integration.store.operations import finish
from tests.reports import SHA256, artifact_written, checkpoint_written, snapshot_written
from tests.storages import new_storage

ANY_AGE = timedelta(-1)


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return new_storage(tmp_path / "storage")


@pytest.fixture
def lease(submit: Submit, claim: Claim) -> Lease:
    submit()
    return claim().lease


def _put(storage: FolderStorage, key: str) -> str:
    """Store a file under the key, and return the key."""
    source = storage.temporary_folder() / "written"
    source.write_bytes(b"x")
    storage.put(key, source)
    return key


def _make_old(*paths: Path, days: float = 2) -> None:
    for path in paths:
        changed_at = time.time() - days * 86_400
        os.utime(path, (changed_at, changed_at))


def _make_all_old(storage: FolderStorage) -> None:
    root = storage.local_path("datasets/x").parents[1]
    _make_old(*sorted(root.rglob("*"), reverse=True))


def _new_keys(lease: Lease) -> list[str]:
    """Return a new key of each kind."""
    job_id, attempt = lease.job_id, lease.attempt
    return [
        artifact_key(job_id, attempt),
        checkpoint_key(job_id, attempt, "keras"),
        snapshot_key(job_id, attempt),
        dataset_key("ds_1"),
    ]


def _checkpoint_key(lease: Lease) -> str:
    return checkpoint_key(lease.job_id, lease.attempt, "keras")


def _record(database: Database, lease: Lease, keys: list[str]) -> None:
    """Record a row for a key of each kind."""
    artifact, checkpoint, snapshot, dataset = keys
    with database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_artifact(session, job, artifact_written("log.csv"), artifact)
        recording.record_checkpoint(session, job, checkpoint_written(["best"], format="keras"), checkpoint)
        snapshots.record(session, job, snapshot_written(1), snapshot)
        arrays = {"x": ArrayInfo((1,), "float32")}
        assert datasets.create(session, "ds_1", "mine", SHA256, 1, arrays)[0].storage_key == dataset


def test_old_files_without_a_row_are_deleted(database: Database, storage: FolderStorage, lease: Lease) -> None:
    old = [_put(storage, key) for key in _new_keys(lease)]
    _make_all_old(storage)
    young = _put(storage, _checkpoint_key(lease))
    assert finish(database, lease)
    assert sorted(sweep(database, storage)) == sorted(old)
    assert list(storage.old_keys(ANY_AGE)) == [young]
    assert sweep(database, storage, min_age=ANY_AGE) == [young]


def test_files_with_a_row_are_kept(database: Database, storage: FolderStorage, lease: Lease) -> None:
    keys = [_put(storage, key) for key in _new_keys(lease)]
    _record(database, lease, keys)
    assert finish(database, lease)
    _make_all_old(storage)
    assert sweep(database, storage) == []
    assert sorted(storage.old_keys(timedelta(days=1))) == sorted(keys)


def test_files_of_a_running_job_are_kept(database: Database, storage: FolderStorage, lease: Lease) -> None:
    """Its worker may wait for the database, however long, and writes the row when that answers again."""
    key = _put(storage, snapshot_key(lease.job_id, lease.attempt))
    _make_all_old(storage)
    assert sweep(database, storage) == []
    with database.write() as session:
        snapshots.record(session, leases.held_job(session, lease), snapshot_written(1), key)
    assert storage.size(key) == 1


def test_more_files_than_one_batch_are_swept(database: Database, storage: FolderStorage, lease: Lease) -> None:
    _put(storage, _checkpoint_key(lease))  # a file that the database knows, so that the storage counts as its own
    keys = [f"datasets/ds_{n}.npz" for n in range(1_100)]
    for key in keys:
        path = storage.local_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert sorted(sweep(database, storage, ANY_AGE)) == sorted(keys)


def test_unfinished_uploads_are_deleted_when_they_are_old(database: Database, storage: FolderStorage) -> None:
    abandoned, ongoing = (storage.temporary_folder() / name for name in ("upload-1", "upload-2"))
    abandoned.touch()
    ongoing.touch()
    _make_old(abandoned)
    assert sweep(database, storage) == ["incoming/upload-1"]
    assert list(storage.temporary_folder().iterdir()) == [ongoing]


def test_empty_folders_of_jobs_are_deleted_when_they_are_old(
    database: Database, storage: FolderStorage, lease: Lease
) -> None:
    kept = storage.local_path(_put(storage, _checkpoint_key(lease)))
    deleted = storage.local_path("checkpoints/job_gone/x").parent
    deleted.mkdir()
    _make_all_old(storage)
    young = storage.local_path("checkpoints/job_young/x").parent
    young.mkdir()
    sweep(database, storage)
    assert sorted(kept.parents[1].iterdir()) == sorted([kept.parent, young])
    _put(storage, "checkpoints/job_gone/1-x.keras")


def test_files_that_the_service_did_not_write_are_kept(database: Database, storage: FolderStorage) -> None:
    foreign = storage.local_path("checkpoints/job_1/x").with_name(".nfs0001")
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    _make_all_old(storage)
    assert sweep(database, storage) == []
    assert foreign.exists()


def test_several_processes_may_sweep_at_once(database: Database, storage: FolderStorage, lease: Lease) -> None:
    known = _put(storage, _checkpoint_key(lease))
    keys = {_put(storage, f"datasets/ds_{n}.npz") for n in range(3)}
    keys_of_another_sweep = storage.old_keys(ANY_AGE)
    next(keys_of_another_sweep)
    assert set(sweep(database, storage, ANY_AGE)) == keys
    assert set(keys_of_another_sweep) <= {known}


def test_nothing_is_swept_if_the_database_knows_none_of_the_files(database: Database, storage: FolderStorage) -> None:
    """The database is empty, or belongs to another storage: sweeping would delete everything."""
    keys = [_put(storage, key) for key in _new_keys(Lease("job_of_another_database", 1, "wk_1"))]
    _make_all_old(storage)
    assert sweep(database, storage) == []
    assert all(storage.local_path(key).exists() for key in keys)
