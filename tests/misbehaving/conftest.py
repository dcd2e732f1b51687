"""A supervisor with a real database, a real storage and real children that misbehave; no worker around it."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from fitqueue.spec import parse_job
from service.dataset_cache import DatasetCache
from service.db import Database
from service.models import Job
from service.store import jobs, leases
from service.store.leases import ClaimedJob
from tests.small_job import small_job
from tests.storages import new_storage
from workers.supervisor.context import Timeouts, WorkerContext
from workers.supervisor.fork_server import ForkServer
from workers.supervisor.supervisor import Supervisor

PATIENT = Timeouts(first_message=300.0, term=300.0, kill=300.0, silence=300.0, outage=0.5)
"""A child that does what it should is never late, however slow the machine is."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def submit(database: Database) -> Callable[..., str]:
    """Store a small job; return its id."""

    def submit(**fields: Any) -> str:
        with database.write() as session:
            return jobs.create(session, parse_job(small_job(100_000) | fields, lambda name: None).spec, []).id

    return submit


@pytest.fixture
def stopping() -> Event:
    return Event()


@pytest.fixture
def make_context(
    database: Database, tmp_path: Path, stopping: Event, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., WorkerContext]:
    """Make the context of a worker whose children run the named module of this folder.

    `timeouts` are the deadlines, in seconds, that the child is to miss.
    """
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(trainer: str, lease_seconds: float = 30.0, **timeouts: float) -> WorkerContext:
        storage = new_storage(tmp_path / "storage")
        return WorkerContext(
            database=database,
            storage=storage,
            datasets=DatasetCache(storage, tmp_path / "datasets", 0),
            fork_server=ForkServer(trainer),
            work_dir=tmp_path / "work",
            unsaved_dir=tmp_path / "unsaved",
            lease_seconds=lease_seconds,
            cpu_devices=1,
            threads=0,
            snapshot_seconds=300.0,
            stopping=stopping,
            timeouts=dataclasses.replace(PATIENT, **timeouts),
        )

    return make


@pytest.fixture
def claim(database: Database) -> Callable[..., ClaimedJob]:
    def claim(lease_seconds: float = 30.0) -> ClaimedJob:
        with database.write() as session:
            claimed = leases.claim(session, "wk_test", ["default"], [], lease_seconds)
        assert claimed is not None
        return claimed

    return claim


@pytest.fixture
def supervise(
    make_context: Callable[..., WorkerContext],
    submit: Callable[..., str],
    claim: Callable[[], ClaimedJob],
    view: Callable[[str], Job],
    database: Database,
) -> Callable[..., Job]:
    """Have a job trained by the misbehaving child of this name, in so many attempts; return the job afterwards."""

    def supervise(trainer: str, times: int = 1, timeouts: Mapping[str, float] | None = None, **fields: Any) -> Job:
        job_id = submit(**fields)
        for attempt in range(times):
            if attempt > 0:
                end_pause(job_id)
            Supervisor(make_context(trainer, **(timeouts or {})), claim()).run()
        return view(job_id)

    def end_pause(job_id: str) -> None:
        with database.write() as session:
            jobs.get(session, job_id).not_before = None

    return supervise


@pytest.fixture
def view(database: Database) -> Callable[[str], Job]:
    def view(job_id: str) -> Job:
        with database.read() as session:
            return jobs.get(session, job_id)

    return view
