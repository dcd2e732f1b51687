"""`fitqueue prune`, and what workers do every minute: what is due goes, first its row and then its file."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from click.testing import CliRunner, Result

from fitqueue.retention import Retention
from service.db import Database
from service.models import LAB_ID
from service.pruning import prune
from service.purging import apply_retention
from service.storage import FolderStorage, checkpoint_key
from service.store import checkpoints, leases, recording, retention
from tests.integration.fixture_types import AdvanceClock, Submit
from tests.integration.store.operations import finish
from tests.reports import checkpoint_written, printed
from tests.storages import new_storage

DAY = 86_400.0


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return new_storage(tmp_path / "storage")


@pytest.fixture
def files(database: Database, storage: FolderStorage, submit: Submit, advance_clock: AdvanceClock) -> list[str]:
    """The keys of the checkpoints of an ended job that are due, and that are not."""
    with database.write() as session:
        retention.set(session, LAB_ID, Retention(logs_days=7, checkpoints_days=7))
    old = _ended_job(database, storage, submit)
    advance_clock(8 * DAY)
    return [old, _ended_job(database, storage, submit)]


def _ended_job(database: Database, storage: FolderStorage, submit: Submit) -> str:
    job_id = submit()
    with database.write() as session:
        lease = leases.claim(session, "w1", ("default",), [], 30.0)
    assert lease is not None
    key = checkpoint_key(job_id, 1, "weights.h5")
    _put(storage, key)
    with database.write() as session:
        job = leases.held_job(session, lease.lease)
        recording.record_lines(session, job, [printed("hello"), printed("again")])
        recording.record_checkpoint(session, job, checkpoint_written(["best", "last"], size=100), key)
    assert finish(database, lease.lease)
    return key


def _put(storage: FolderStorage, key: str) -> None:
    source = storage.temporary_folder() / "written"
    source.write_bytes(bytes(100))
    storage.put(key, source)


def _stored(storage: FolderStorage, keys: list[str]) -> list[bool]:
    return [(path := storage.local_path(key)) is not None and path.exists() for key in keys]


@pytest.fixture
def run_prune(
    database_url: str, storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """A function that runs `fitqueue prune` on the database and the storage."""
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", database_url)
    monkeypatch.setenv("FITQUEUE_STORAGE", str(tmp_path / "storage"))
    return lambda *arguments: CliRunner().invoke(prune, arguments, catch_exceptions=False)


def test_workers_remove_what_is_due(database: Database, storage: FolderStorage, files: list[str]) -> None:
    apply_retention(database, storage, Event())
    assert _stored(storage, files) == [False, True]


def test_a_dry_run_says_what_would_go_and_removes_nothing(
    run_prune: Callable[..., Result], storage: FolderStorage, files: list[str]
) -> None:
    outcome = run_prune("--dry-run")
    assert outcome.exit_code == 0
    heading, log, weights, _, end = outcome.stdout.splitlines()
    assert heading.split() == ["PROJECT", "WHAT", "AFTER", "JOBS", "ROWS", "SIZE"]
    assert log.split() == ["lab", "log", "7", "d", "1", "2", "10", "B"]
    assert weights.split() == ["lab", "checkpoints", "7", "d", "1", "2", "100", "B"]
    assert end == "Nothing was removed. It would free 110 B."
    assert _stored(storage, files) == [True, True]
    assert run_prune("--dry-run").stdout == outcome.stdout


def test_prune_removes_it_now(run_prune: Callable[..., Result], storage: FolderStorage, files: list[str]) -> None:
    outcome = run_prune()
    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines()[-1] == "Removed 4 rows, and files with 100 B."
    assert _stored(storage, files) == [False, True]
    assert run_prune().stdout == "There is nothing to remove: the projects keep all that there is.\n"


def test_a_file_that_cannot_be_deleted_is_left_to_the_sweeper(
    database: Database, storage: FolderStorage, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(key: str) -> None:
        raise OSError(5, "Input/output error", key)

    monkeypatch.setattr(storage, "delete", fail)
    apply_retention(database, storage, Event())
    assert _stored(storage, files) == [True, True]
    job_id = files[0].split("/")[1]
    with database.read() as session:
        assert checkpoints.list_page(session, job_id, None, 10) == []


def test_prune_wants_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FITQUEUE_DATABASE_URL", raising=False)
    outcome = CliRunner().invoke(prune)
    assert "No database is known" in str(outcome.exception)
    assert list(tmp_path.iterdir()) == []
