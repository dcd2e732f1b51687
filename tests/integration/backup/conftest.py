"""Services without processes: a database and a storage of each kind, with jobs in them, and places for backups."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fitqueue import cli
from fitqueue.reports import SnapshotWritten
from fitqueue.states import Phase
from service.db import Database, sqlite_file
from service.migrate import upgrade
from service.settings import Settings
from service.storage import REQUEST_RETRY_TIMEOUT, Storage, open_storage, snapshot_key
from service.storage_address import Bucket
from service.storage_marking import mark_storage
from service.store import datasets, jobs, login, snapshots, table_rows, tokens
from tests.integration.client.conftest import Served, SimulatedWorker
from tests.integration.fixture_types import MakeSpec
from tests.reports import snapshot_written


@dataclass
class Service:
    """A database and a storage, and the settings that name them."""

    settings: Settings
    make_spec: MakeSpec
    template: Path
    """A SQLite database with the tables."""

    def __post_init__(self) -> None:
        self.database = Database(self.settings.database_url)
        self.storage: Storage = open_storage(self.settings, REQUEST_RETRY_TIMEOUT, lambda: None)

    def install(self) -> None:
        """Create the tables and mark the storage, as `fitqueue migrate` does."""
        if (file := sqlite_file(self.settings.database_url)) is not None:
            shutil.copyfile(self.template, file)
        upgrade(self.settings.database_url)
        mark_storage(self.database, self.storage)

    def with_settings(self, **changes: Any) -> "Service":
        """Return the service with other settings."""
        return Service(self.settings.model_copy(update=changes), self.make_spec, self.template)

    def submit(self, **fields: Any) -> str:
        with self.database.write() as session:
            return jobs.create(session, self.make_spec(**fields), []).id

    def claim(self) -> SimulatedWorker:
        return Served("", "", self.database, self.storage, Path()).claim()  # type: ignore[arg-type]

    def put(self, key: str, content: bytes) -> str:
        """Store a file; return its sha256."""
        source = self.storage.temporary_folder() / "written"
        source.write_bytes(content)
        self.storage.put(key, source)
        return hashlib.sha256(content).hexdigest()

    def snapshot(self, worker: SimulatedWorker, epoch: int, content: bytes) -> str:
        """Store a snapshot and record it, delete those that it replaces, and return its key."""
        key = snapshot_key(worker.lease.job_id, worker.lease.attempt)
        fields = {"size": len(content), "sha256": self.put(key, content)}
        written = SnapshotWritten.model_validate(snapshot_written(epoch).model_dump() | fields)
        with worker._held_job() as (session, job):
            replaced = snapshots.record(session, job, written, key)
        self.storage.discard_all(replaced)
        return key

    def add_dataset(self, name: str, content: bytes) -> str:
        """Store a data set, and return its key."""
        key = f"datasets/{name}.npz"
        sha256 = self.put(key, content)
        with self.database.write() as session:
            datasets.create(session, name, name, sha256, len(content), {})
        return key

    def rows(self) -> dict[str, list[list[Any]]]:
        """Return all rows of all tables that a backup has."""
        with self.database.read() as session:
            return {name: list(table_rows.read(session, name)) for name in table_rows.names()}

    def files(self) -> dict[str, bytes]:
        keys = self.storage.old_keys(timedelta(hours=-1))
        return {key: b"".join(self.storage.open(key)) for key in keys}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commands use this service."""
        monkeypatch.setenv("FITQUEUE_DATABASE_URL", self.settings.database_url)
        monkeypatch.setenv("FITQUEUE_STORAGE", str(self.settings.storage))
        monkeypatch.setenv("FITQUEUE_WORK_DIR", str(self.settings.work_dir))


MakeService = Callable[..., Service]


@pytest.fixture
def make_service(
    tmp_path: Path, make_spec: MakeSpec, sqlite_template: Path, request: pytest.FixtureRequest
) -> Iterator[MakeService]:
    """A function that returns a service whose database and storage do not exist yet, of the kinds that it is given."""
    made: list[Service] = []

    def make(database: str = "sqlite", storage: str = "folder") -> Service:
        folder = tmp_path / f"service-{len(made)}"
        url = f"sqlite:///{folder}/fitqueue.db"
        if database == "postgresql":
            url = request.getfixturevalue("new_postgres_database")(None)
        address: Path | Bucket = folder / "storage"
        if storage == "bucket":
            address = request.getfixturevalue("s3").new_bucket()
        else:
            folder.mkdir(exist_ok=True)
        settings = Settings(database_url=url, storage=address, work_dir=folder / "work")
        made.append(Service(settings, make_spec, sqlite_template))
        return made[-1]

    yield make
    for service in made:
        service.database.close()


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that is installed and empty, on SQLite and with a folder."""
    service = make_service()
    service.install()
    return service


def fill(service: Service) -> tuple[str, SimulatedWorker]:
    """Let a service have rows in every table: an ended job, a running one with its worker, a queued one and more.

    Returns:
        The id of the ended job, and the worker of the running one.
    """
    service.add_dataset("ds_letters", b"letters" * 1000)
    ended = service.submit(name="ended", labels={"team": "视觉"}, fit={"epochs": 2})
    worker = service.claim()
    worker.phase(Phase.TRAINING)
    worker.progress(1, 5, is_point=True, loss=0.75)
    worker.epoch(1, float("inf"), not_a_number=float("nan"))
    worker.checkpoint(["best", "epoch-1"], 1, b"weights" * 1000, 0.5)
    worker.artifact("history.csv", b"epoch,loss\n")
    worker.log("Epoch 1/2", "手写数字")
    worker.finish()
    running = service.submit(name="running", fit={"epochs": 9})
    worker = service.claim()
    assert worker.lease.job_id == running
    worker.phase(Phase.TRAINING)
    worker.epoch(1, 0.5)
    service.snapshot(worker, 1, b"first snapshot")
    service.snapshot(worker, 2, b"second snapshot")
    service.submit(name="queued", max_runtime_seconds=60)
    with service.database.write() as session:
        token_id = tokens.verify(session, tokens.create(session, "ada"))
        assert token_id is not None
        login.begin(session, token_id, timedelta(days=1))
        login.create_link(session, token_id)
    return ended, worker


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """A function that runs a command for a service; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(service: Service, *arguments: object) -> tuple[int, str, str]:
        service.use(monkeypatch)
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run
