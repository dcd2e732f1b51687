"""What is swept from the store, and above all what is not."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fitqueue.states import Reason
from fitqueue.views import ArrayView
from service.db import Database
from service.storage import FolderStorage, artifact_key, checkpoint_key, dataset_key, snapshot_key
from service.store import datasets, leases, recording, snapshots
from service.store.leases import Lease
from service.store.recording import ArtifactRecord, CheckpointRecord
from service.store.snapshots import SnapshotRecord
from service.sweeping import sweep

Take = Callable[..., Any]
SHA256 = 64 * "0"


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


@pytest.fixture
def lease(submit: Callable[..., str], take: Take) -> Lease:
    submit()
    found: Lease = take().lease
    return found


def _put(store: FolderStorage, key: str) -> str:
    source = store.temporary_folder() / "written"
    source.write_bytes(b"x")
    store.put(key, source)
    return key


def _age(*paths: Path, days: float = 2) -> None:
    for path in paths:
        moment = time.time() - days * 86_400
        os.utime(path, (moment, moment))


def _age_all(store: FolderStorage) -> None:
    root = store.local_path("datasets/x").parents[1]
    _age(*sorted(root.rglob("*"), reverse=True))


def _keys(lease: Lease) -> list[str]:
    return [artifact_key(lease), checkpoint_key(lease, "keras"), snapshot_key(lease), dataset_key("ds_1")]


def _record(database: Database, lease: Lease, keys: list[str]) -> None:
    artifact, checkpoint, snapshot, dataset = keys
    arrays = [ArrayView(name="x", shape=[1], dtype="float32")]
    with database.write() as session:
        recording.record_artifact(session, lease, ArtifactRecord("log.csv", artifact, 1, SHA256))
        row = CheckpointRecord(["best"], checkpoint, "keras", 1, None, {}, None, None, 1, SHA256)
        recording.record_checkpoint(session, lease, row)
        snapshots.record(session, lease, SnapshotRecord(snapshot, 1, 0, 1, SHA256))
        assert datasets.create(session, "ds_1", "mine", SHA256, 1, arrays)[0].storage_key == dataset


def _end(database: Database, lease: Lease) -> None:
    with database.write() as session:
        assert leases.finish(session, lease, Reason.COMPLETED, "done")


def test_files_that_no_row_points_at_go_when_they_are_old(
    database: Database, store: FolderStorage, lease: Lease
) -> None:
    old = [_put(store, key) for key in _keys(lease)]
    _age_all(store)
    young = _put(store, checkpoint_key(lease, "keras"))
    _end(database, lease)
    assert sorted(sweep(database, store)) == sorted(old)
    assert list(store.old_keys(timedelta(-1))) == [young]
    assert sweep(database, store, older_than=timedelta(-1)) == [young]


def test_what_a_row_points_at_stays(database: Database, store: FolderStorage, lease: Lease) -> None:
    keys = [_put(store, key) for key in _keys(lease)]
    _record(database, lease, keys)
    _end(database, lease)
    _age_all(store)
    assert sweep(database, store) == []
    assert sorted(store.old_keys(timedelta(days=1))) == sorted(keys)


def test_a_file_whose_worker_waits_for_the_database_stays(
    database: Database, store: FolderStorage, lease: Lease
) -> None:
    """However long: when the database answers again, the worker writes the row."""
    key = _put(store, snapshot_key(lease))
    _age_all(store)
    assert sweep(database, store) == []
    with database.write() as session:
        snapshots.record(session, lease, SnapshotRecord(key, 1, 0, 1, SHA256))
    assert store.size(key) == 1


def test_more_files_than_one_question_holds(database: Database, store: FolderStorage, lease: Lease) -> None:
    _put(store, checkpoint_key(lease, "keras"))  # by which the database knows the store
    keys = [f"datasets/ds_{n}.npz" for n in range(1_100)]
    for key in keys:
        path = store.local_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert sorted(sweep(database, store, timedelta(-1))) == sorted(keys)


def test_uploads_that_were_never_finished_go_and_others_go_on(database: Database, store: FolderStorage) -> None:
    left, goes_on = (store.temporary_folder() / name for name in ("upload-1", "upload-2"))
    left.touch()
    goes_on.touch()
    _age(left)
    assert sweep(database, store) == ["incoming/upload-1"]
    assert list(store.temporary_folder().iterdir()) == [goes_on]


def test_empty_folders_of_jobs_go_when_they_are_old(database: Database, store: FolderStorage, lease: Lease) -> None:
    kept = store.local_path(_put(store, checkpoint_key(lease, "keras")))
    gone = store.local_path("checkpoints/job_gone/x").parent
    gone.mkdir()
    _age_all(store)
    young = store.local_path("checkpoints/job_young/x").parent
    young.mkdir()
    sweep(database, store)
    assert sorted(kept.parents[1].iterdir()) == sorted([kept.parent, young])
    _put(store, "checkpoints/job_gone/1-x.keras")


def test_what_is_no_file_of_the_services_is_left_alone(database: Database, store: FolderStorage) -> None:
    foreign = store.local_path("checkpoints/job_1/x").with_name(".nfs0001")
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    _age_all(store)
    assert sweep(database, store) == []
    assert foreign.exists()


def test_several_may_sweep_at_once(database: Database, store: FolderStorage, lease: Lease) -> None:
    known = _put(store, checkpoint_key(lease, "keras"))
    keys = {_put(store, f"datasets/ds_{n}.npz") for n in range(3)}
    found = store.old_keys(timedelta(-1))
    next(found)
    assert set(sweep(database, store, timedelta(-1))) == keys
    assert set(found) <= {known}


def test_nothing_goes_for_a_database_that_knows_none_of_the_files(database: Database, store: FolderStorage) -> None:
    """It is empty, or another's: to sweep for it would lose everything."""
    keys = [_put(store, key) for key in _keys(Lease("job_of_another_database", 1, "wk_1"))]
    _age_all(store)
    assert sweep(database, store) == []
    assert all(store.local_path(key).exists() for key in keys)
