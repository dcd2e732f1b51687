"""Whole workers on SQLite, without an API around them."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fitqueue.states import JobState, Reason
from service.db import Database
from service.models import Job
from service.stack import free_port
from service.store import jobs, workers

ENDLESS = {"epochs": 100_000, "batch_size": 64, "verbose": 0}
LEASE_SECONDS = 3.0

LookAt = Callable[[Database, str], Job]
Until = Callable[..., Any]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("db") / "fitqueue.db"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def settings(database: Database) -> dict[str, Any]:
    """No Redis answers there: these workers live by asking the database."""
    return {
        "database_url": str(database._engine.url),
        "redis_url": f"redis://:secret@127.0.0.1:{free_port(0)}/0",
        "lease_seconds": LEASE_SECONDS,
    }


@pytest.fixture
def submit(database: Database, make_spec: Callable[..., Any]) -> Callable[..., str]:
    def submit(**fields: Any) -> str:
        with database.write() as session:
            return jobs.create(session, make_spec(**fields), []).id

    return submit


def is_training(database: Database, look_at: LookAt, job_id: str) -> Callable[[], bool]:
    def look() -> bool:
        job = look_at(database, job_id)
        return job.state is JobState.RUNNING and job.epoch > 0

    return look


def test_a_worker_lives_without_redis_and_goes_without_a_trace(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    with run_worker(database, tmp_path, **settings, slots=2) as worker:
        whole = submit(fit={"epochs": 2, "batch_size": 64})
        until(lambda: look_at(database, whole).state is JobState.SUCCEEDED)
        assert look_at(database, whole).reason is Reason.COMPLETED

        two = [submit(fit=ENDLESS) for _ in range(2)]
        for job_id in two:  # both at the same time: neither would ever end
            until(is_training(database, look_at, job_id))
        for process in worker.descendants():
            environment = "".join(f"{name}={value}\n" for name, value in process.environ().items())
            assert "secret" not in environment
            assert "FITQUEUE" not in environment

        with database.write() as session:
            jobs.cancel(session, two[0])
        until(lambda: look_at(database, two[0]).state is JobState.CANCELLED)

        processes = worker.descendants()
        assert worker.stop() == 0
        given_back = look_at(database, two[1])
        assert (given_back.state, given_back.losses) == (JobState.QUEUED, 0)
        with database.read() as session:
            assert workers.list_alive(session, 3600.0) == []
        assert psutil.wait_procs(processes, 10)[1] == []
        assert list((tmp_path / "work").iterdir()) == []
        with database.write() as session:
            jobs.cancel(session, two[1])


def test_another_worker_takes_the_job_of_one_that_was_killed(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    job_id = submit(fit=ENDLESS)
    with run_worker(database, tmp_path, **settings) as first:
        until(is_training(database, look_at, job_id))
        processes = first.descendants()
        first.stop(signal.SIGKILL)
        assert psutil.wait_procs(processes, 10)[1] == []
        assert len(list((tmp_path / "work").iterdir())) == 1
        with run_worker(database, tmp_path, **settings) as second:
            until(lambda: look_at(database, job_id).attempt == 2)
            until(is_training(database, look_at, job_id))
            until(lambda: len(list((tmp_path / "work").iterdir())) == 1)  # what the first one left is gone
            assert look_at(database, job_id).losses == 1
            second.stop(signal.SIGINT)
            assert look_at(database, job_id).state is JobState.QUEUED
