"""Who creates a storage and marks it as that of its database, and when that is refused."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fitqueue.cli import main
from fitqueue.errors import WrongStorage
from service.db import Database
from service.models import Checkpoint
from service.storage import FolderStorage, StorageError
from service.storage.identity import MARKER
from service.storage_marking import identity_reader, mark_storage
from service.store import jobs

KEY = "checkpoints/job_1/1-abc.weights.h5"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "disks" / "storage"


@pytest.fixture
def storage(root: Path) -> FolderStorage:
    """The storage as `fitqueue migrate` opens it."""
    return FolderStorage(root)


@pytest.fixture
def own(root: Path, database: Database) -> FolderStorage:
    """The storage as the API and the workers open it."""
    return FolderStorage(root, identity_reader(database))


@pytest.fixture
def refer_to_file(database: Database, make_spec: Callable[..., Any]) -> Callable[[], None]:
    """A function that gives a job a checkpoint, whose file need not exist."""

    def refer() -> None:
        with database.write() as session:
            job_id = jobs.create(session, make_spec(), []).id
            columns = {"epoch": 1, "metrics": {}, "size": 7, "sha256": "0" * 64, "attempt": 1, "format": "weights.h5"}
            session.add(
                Checkpoint(job_id=job_id, name="last", storage_key=KEY, created_at=datetime.now(UTC), **columns)
            )

    return refer


def put_file(root: Path) -> None:
    (root / KEY).parent.mkdir(parents=True)
    (root / KEY).write_bytes(b"weights")


def test_marking_creates_the_storage_and_marking_again_changes_nothing(
    database: Database, storage: FolderStorage, own: FolderStorage, root: Path
) -> None:
    assert identity_reader(database)() is None
    mark_storage(database, storage)
    identity = storage.identity()
    assert identity is not None
    assert identity_reader(database)() == identity
    mark_storage(database, storage)
    assert (storage.identity(), [path.name for path in root.iterdir()]) == (identity, [MARKER])
    own.probe()


def test_an_older_deployment_gets_its_mark(
    database: Database, storage: FolderStorage, own: FolderStorage, root: Path, refer_to_file: Callable[[], None]
) -> None:
    refer_to_file()
    put_file(root)
    assert own.size(KEY) == 7, "it works before it is marked, too"
    mark_storage(database, storage)
    assert storage.identity() == identity_reader(database)()
    assert own.size(KEY) == 7


@pytest.mark.parametrize("was_marked", [True, False])
@pytest.mark.parametrize("has_folder", [True, False])
def test_a_folder_without_its_disk_is_refused(
    was_marked: bool, has_folder: bool, database: Database, storage: FolderStorage, own: FolderStorage, root: Path,
    refer_to_file: Callable[[], None],
) -> None:  # fmt: skip
    if was_marked:
        mark_storage(database, storage)
        root.rename(root.with_name("disk"))
    refer_to_file()
    if has_folder:
        root.mkdir(parents=True)
    with pytest.raises(WrongStorage, match="migrate --adopt-storage"):
        mark_storage(database, storage)
    assert not (root / MARKER).exists()
    assert root.exists() == has_folder
    mark_storage(database, storage, adopt=True)
    own.probe()


def test_a_mark_that_was_lost_comes_back_with_the_files(
    database: Database, storage: FolderStorage, own: FolderStorage, root: Path, refer_to_file: Callable[[], None]
) -> None:
    mark_storage(database, storage)
    refer_to_file()
    put_file(root)
    (root / MARKER).unlink()
    with pytest.raises(StorageError, match=MARKER):
        own.size(KEY)
    mark_storage(database, storage)
    assert own.size(KEY) == 7


def test_the_storage_of_another_database_is_refused(
    database: Database, storage: FolderStorage, own: FolderStorage, refer_to_file: Callable[[], None], root: Path
) -> None:
    storage.mark("st_other")
    with pytest.raises(WrongStorage, match="belongs to another database"):
        mark_storage(database, storage)
    assert storage.identity() == "st_other"
    mark_storage(database, storage, adopt=True)
    own.probe()
    storage.mark("st_third")
    refer_to_file()
    put_file(root)
    with pytest.raises(WrongStorage, match="belongs to another database"):
        mark_storage(database, storage)


def test_a_database_that_was_restored_accepts_its_storage(
    database: Database, storage: FolderStorage, own: FolderStorage, refer_to_file: Callable[[], None], root: Path
) -> None:
    """The backup is older than the mark."""
    refer_to_file()
    put_file(root)
    storage.mark("st_before")
    mark_storage(database, storage)
    assert identity_reader(database)() == "st_before"
    assert own.size(KEY) == 7


def test_migrate_marks_the_storage(
    empty_database_url: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("FITQUEUE_STORAGE", str(root))
    assert main(["migrate"]) == 0
    assert "the storage is marked as its own" in capsys.readouterr().out
    identity = FolderStorage(root).identity()
    assert identity is not None
    (root / MARKER).write_text("st_other")
    assert main(["migrate"]) != 0
    assert "belongs to another database" in capsys.readouterr().err
    assert main(["migrate", "--adopt-storage"]) == 0
    assert FolderStorage(root).identity() == identity
