"""A backup of a service that runs, and what is in the service that is restored from it."""

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from fitqueue import cli
from fitqueue.states import EventKind, JobState
from service.backup import making
from service.backup.errors import BackupFailed
from service.backup.making import Made, make_backup
from service.backup.place import BackupPlace
from service.backup.progress import Progress
from service.backup.pruning import keep_newest
from service.backup.restoring import Restore
from service.column_types import Base
from service.models import Event
from service.storage import FolderStorage, Storage
from service.storage_address import Bucket
from service.storage_marking import identity_reader
from service.store import actions, jobs, table_rows, tokens
from tests.integration.backup.conftest import MakeService, Service, fill
from tests.integration.client.conftest import SimulatedWorker
from tests.integration.fixture_types import AdvanceClock
from tests.storages import new_storage

Run = Callable[..., tuple[int, str, str]]

KINDS = [
    ("sqlite", "folder", "sqlite", "folder", "folder"),
    ("sqlite", "folder", "postgresql", "bucket", "bucket"),
    ("postgresql", "bucket", "sqlite", "folder", "folder"),
    ("postgresql", "folder", "postgresql", "folder", "bucket"),
]
"""The database and the storage before, those afterwards, and the place of the backup."""

FILLED = (
    "artifacts", "checkpoints", "counters", "datasets", "epoch_metrics", "epochs", "events", "job_labels", "jobs",
    "log_lines", "pool_usage", "snapshots", "step_metrics", "tokens", "training_times",
)  # fmt: skip
"""Tables that have rows before the backup: with values of every kind."""


def make_at(service: Service, place: Path) -> Made:
    return make_backup(service.database, service.storage, BackupPlace(new_storage(place), "the place"), Progress("-"))


def restore_from(service: Service, place: Path, name: str | None = None) -> int:
    at = BackupPlace(FolderStorage(place), "the place")
    name = name or at.newest()
    assert isinstance(service.settings.storage, Path)
    new_storage(service.settings.storage)
    return Restore(at, name, at.read(name)).run(service.settings.database_url, service.storage, Progress("-"))


@pytest.mark.parametrize(("database", "storage", "new_database", "new_storage", "place"), KINDS)
def test_a_restored_service_has_the_same_rows_and_files(
    database: str, storage: str, new_database: str, new_storage: str, place: str,
    make_service: MakeService, run: Run, request: pytest.FixtureRequest, tmp_path: Path,
) -> None:  # fmt: skip
    old, new = make_service(database, storage), make_service(new_database, new_storage)
    old.install()
    _, worker = fill(old)
    running = worker.lease.job_id
    target: Path | Bucket = tmp_path / "place"
    if place == "bucket":
        target = request.getfixturevalue("s3").new_bucket()
    code, shown, remarks = run(old, "backup", target)
    assert (code, remarks) == (0, "Copying 5 files, 14.0 kB …\nReading the database …\n")
    assert re.fullmatch(
        r"The backup \d{8}T\d{6}\.\d{3}Z is complete: 3 jobs, and 5 files of 14\.0 kB\."
        r" 5 files of 14\.0 kB were new\.\n",
        shown,
    )
    rows = old.rows()
    assert [name for name in FILLED if not rows[name]] == []

    code, shown, _ = run(new, "restore", target)
    assert code == 0
    assert "Jobs that were running are queued again: 1.\n" in shown
    restored = new.rows()
    with new.database.read() as session:
        left_out = table_rows.count_all(session).keys() & table_rows.LEFT_OUT
    assert left_out == {"storage_identity"}, "nobody is logged in, and no worker is there"
    changed = {"events", "jobs", "pool_usage", "turn_usage"}
    assert {name: rows[name] for name in rows.keys() - changed} == {
        name: restored[name] for name in restored.keys() - changed
    }
    assert [row for row in rows["jobs"] if row[0] != running] == [row for row in restored["jobs"] if row[0] != running]
    assert restored["events"][: len(rows["events"])] == rows["events"]
    assert new.files() == old.files()
    assert new.storage.identity() == identity_reader(new.database)() != old.storage.identity()

    with new.database.write() as session:
        last = session.scalars(select(Event).order_by(Event.id.desc())).first()
        assert last is not None
        assert (last.job_id, last.kind) == (running, EventKind.REQUEUED)
        assert actions.cancel(session, running, None).state is JobState.CANCELLED, "new events get new ids"
        assert "ada" in {token.name for token in tokens.list_all(session)}


def test_every_table_is_backed_up_or_left_out_for_a_reason() -> None:
    assert {*table_rows.names()} | table_rows.LEFT_OUT == {*Base.metadata.tables}


def test_a_second_backup_copies_only_what_is_new_and_an_older_one_can_be_chosen(
    service: Service, make_service: MakeService, run: Run, tmp_path: Path
) -> None:
    _, worker = fill(service)
    first = make_at(service, tmp_path / "place")
    old_files = service.files()
    service.snapshot(worker, 3, b"third snapshot")
    worker.finish()
    second = make_at(service, tmp_path / "place")
    assert (first.copied, second.copied, second.copied_bytes) == (5, 1, len(b"third snapshot"))

    code, shown, _ = run(service, "restore", tmp_path / "place", "--list")
    assert code == 0
    assert [line.split()[0] for line in shown.splitlines()] == ["NAME", first.name, second.name]
    newest, older = make_service(), make_service()
    assert restore_from(newest, tmp_path / "place") == 0
    assert newest.files() == service.files()
    assert restore_from(older, tmp_path / "place", first.name) == 1
    assert older.files() == old_files


def test_the_attempt_of_a_running_job_ended_when_the_backup_was_made(
    service: Service, make_service: MakeService, tmp_path: Path, advance_clock: AdvanceClock
) -> None:
    _, worker = fill(service)
    made = make_at(service, tmp_path / "place")
    advance_clock(7 * 24 * 3600)
    new = make_service()
    restore_from(new, tmp_path / "place")
    with new.database.read() as session:
        job = jobs.get(session, worker.lease.job_id)
        [event] = session.scalars(select(Event).where(Event.job_id == job.id, Event.kind == EventKind.REQUEUED))
    assert (job.state, job.attempt, job.failed_attempts) == (JobState.QUEUED, 1, 0)
    assert job.seconds_used < 60
    assert event.at == made.manifest.created_at
    assert event.message == f"The service was restored from the backup {made.name}; the job is queued again."


@pytest.mark.parametrize(("action", "state"), [("cancel", JobState.CANCELLED), ("pause", JobState.PAUSED)])
def test_what_was_asked_of_a_running_job_is_done(
    service: Service, make_service: MakeService, tmp_path: Path, action: str, state: JobState
) -> None:
    _, worker = fill(service)
    with service.database.write() as session:
        getattr(actions, action)(session, worker.lease.job_id, None)
    make_at(service, tmp_path / "place")
    new = make_service()
    restore_from(new, tmp_path / "place")
    with new.database.read() as session:
        assert jobs.get(session, worker.lease.job_id).state is state


class RunningService(FolderStorage):
    """The storage of a service that runs: while files are copied, it replaces snapshots."""

    def __init__(self, root: Path, on_open: Callable[[str], None]) -> None:
        super().__init__(root)
        self._on_open = on_open

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._on_open(key)
        return super().open(key, start, length)


def _storage_that_replaces(service: Service, worker: SimulatedWorker, times: int) -> tuple[Storage, list[str]]:
    """Return the storage of a service that replaces both snapshots of a job just before they are copied."""
    replaced: list[str] = []

    def replace(key: str) -> None:
        if key.startswith("snapshots/") and len(replaced) < times:
            replaced.append(key)
            for epoch in (10 + 2 * len(replaced), 11 + 2 * len(replaced)):
                service.snapshot(worker, epoch, f"snapshot after epoch {epoch}".encode())

    assert isinstance(service.settings.storage, Path)
    return RunningService(service.settings.storage, replace), replaced


def test_a_file_that_is_deleted_meanwhile_does_not_break_the_backup(
    service: Service, make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.backup.copying._COPIES", 1)
    _, worker = fill(service)
    storage, replaced = _storage_that_replaces(service, worker, times=4)
    place = BackupPlace(new_storage(tmp_path / "place"), "the place")
    made = make_backup(service.database, storage, place, Progress("-"))
    assert len(replaced) == 4
    assert made.lost == []
    new = make_service()
    restore_from(new, tmp_path / "place")
    assert new.files() == service.files()


def test_it_gives_up_if_files_disappear_for_ever(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.backup.copying._COPIES", 1)
    monkeypatch.setattr(making, "ROUNDS", 3)
    _, worker = fill(service)
    storage, _ = _storage_that_replaces(service, worker, times=1000)
    place = BackupPlace(new_storage(tmp_path / "place"), "the place")
    with pytest.raises(BackupFailed, match=r"^After 3 tries there were still files .* snapshots/job_"):
        make_backup(service.database, storage, place, Progress("-"))
    assert place.backups() == {}


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "damaged"])
def test_files_that_the_storage_had_lost_are_named_and_the_rest_is_backed_up(
    service: Service, make_service: MakeService, run: Run, tmp_path: Path, is_lost: bool
) -> None:
    fill(service)
    path = service.storage.local_path("datasets/ds_letters.npz")
    assert path is not None
    path.unlink() if is_lost else path.write_bytes(b"LETTERS" * 1000)
    code, shown, remarks = run(service, "backup", tmp_path / "place")
    assert code == 1
    assert "is complete: 3 jobs, and 4 files" in shown
    assert remarks.endswith(
        "The storage lacks files that the database refers to, so the backup does, too:\n"
        f"    datasets/ds_letters.npz {'is missing' if is_lost else 'is damaged: its checksum is another one'}\n"
    )
    code, shown, _ = run(make_service(), "restore", tmp_path / "place")
    assert code == 0
    assert "Files that the storage had lost before the backup, and that are missing: 1.\n" in shown


def test_a_backup_that_was_not_finished_is_not_restored(
    service: Service, make_service: MakeService, run: Run, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    first, second = make_at(service, place).name, make_at(service, place).name
    (place / "backups" / second / "manifest.json").unlink()
    _, shown, _ = run(service, "restore", place, "--list")
    assert shown.splitlines()[-1].split() == [second, "unfinished"]
    new = make_service()
    code, _, remarks = run(new, "restore", place, "--backup", second)
    assert (code, remarks) == (
        3, f"Error: The backup {second} has no manifest, so it was not finished. Choose another one.\n"
    )  # fmt: skip
    code, shown, _ = run(new, "restore", place)
    assert code == 0
    assert first in shown


def test_the_place_belongs_to_one_service(
    service: Service, make_service: MakeService, run: Run, tmp_path: Path
) -> None:
    other = make_service()
    other.install()
    make_at(service, tmp_path / "place")
    code, _, remarks = run(other, "backup", tmp_path / "place")
    assert code == 3
    assert "has backups of another service. Choose an empty folder" in remarks
    code, _, remarks = run(other, "backup", other.settings.storage)
    assert code == 3
    assert "has the storage of a service. Choose an empty folder" in remarks
    assert not (tmp_path / "place" / "backups" / "x").exists()


def test_no_service_takes_a_place_for_its_storage(
    service: Service, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(service)
    make_at(service, tmp_path / "place")
    code, _, remarks = run(service.with_settings(storage=tmp_path / "place"), "migrate")
    assert code == 3
    assert "The storage belongs to another database." in remarks


def test_an_unfinished_copy_of_an_earlier_try_is_removed(service: Service, tmp_path: Path) -> None:
    make_at(service, tmp_path / "place")
    left = tmp_path / "place" / "incoming" / "left"
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    make_at(service, tmp_path / "place")
    assert not left.exists()


def test_older_backups_are_removed_with_what_the_others_do_not_need(
    service: Service, make_service: MakeService, run: Run, tmp_path: Path
) -> None:
    place = BackupPlace(new_storage(tmp_path / "place"), "the place")
    _, worker = fill(service)
    names = [make_at(service, tmp_path / "place").name]
    for epoch in (3, 4, 5, 6):
        service.snapshot(worker, epoch, b"snapshot %d" % epoch)
        names.append(make_at(service, tmp_path / "place").name)
    (tmp_path / "place" / "backups" / names[1] / "manifest.json").unlink()
    assert len(place.sizes()) == 9

    code, shown, _ = run(service, "backup", tmp_path / "place", "--keep", "3")
    assert code == 0
    assert shown.endswith("3 older backups and 0 files were removed.\n"), "the files are not a day old"
    assert [*place.backups().values()] == [True] * 3
    assert keep_newest(place, 3, timedelta(hours=-1)) == (0, 3)
    assert not (tmp_path / "place" / "backups" / names[0]).exists()
    kept = [*place.backups()]
    assert kept[:2] == names[3:]
    for name in kept:
        restore_from(make_service(), tmp_path / "place", name)
    assert keep_newest(place, 3, timedelta(hours=-1)) == (0, 0)


def test_nothing_is_removed_if_the_manifest_of_a_kept_backup_is_damaged(service: Service, tmp_path: Path) -> None:
    place = BackupPlace(new_storage(tmp_path / "place"), "the place")
    fill(service)
    name = make_at(service, tmp_path / "place").name
    (tmp_path / "place" / "backups" / name / "manifest.json").write_text("{}")
    with pytest.raises(BackupFailed, match="has the format None"):
        keep_newest(place, 1, timedelta(hours=-1))
    assert len(place.sizes()) == 5


def test_without_settings_it_backs_up_what_fitqueue_up_has(
    make_service: MakeService, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"database_url": f"sqlite:///{tmp_path}/var/fitqueue.db", "storage": tmp_path / "var" / "storage"}
    service = make_service()
    (tmp_path / "var").mkdir()
    local = service.with_settings(**settings)
    local.install()
    fill(local)
    (tmp_path / "below").mkdir()
    for name in ("FITQUEUE_DATABASE_URL", "FITQUEUE_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "below")
    assert cli.main(["backup", str(tmp_path / "place")]) == 0
    new = make_service()
    restore_from(new, tmp_path / "place")
    assert new.files() == local.files()
