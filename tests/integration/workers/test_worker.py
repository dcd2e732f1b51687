"""Whole workers on SQLite, without an API around them."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis as Client
from sqlalchemy import select

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.models import Event, Job
from service.processes import free_port
from service.queue import queue_name
from service.store import actions, jobs, snapshots, workers
from tests.results import result
from tests.small_job import WITH_DROPOUT

ENDLESS = {"epochs": 100_000, "batch_size": 64, "verbose": 0}
LEASE_SECONDS = 12.0

LookAt = Callable[[Database, str], Job]
Until = Callable[..., Any]

JOB: dict[str, Any] = {
    **WITH_DROPOUT,
    "fit": {"epochs": 40, "batch_size": 128, "shuffle": True, "verbose": 0},
    "callbacks": [
        {"class_name": "EarlyStopping", "config": {
            "monitor": "loss", "patience": 3, "min_delta": 0.02, "restore_best_weights": True}},
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "patience": 1, "min_delta": 0.05}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "e{epoch:02d}-{loss:.4f}.weights.h5", "monitor": "loss", "save_best_only": True,
            "save_weights_only": True}},
    ],
    "seed": 11,
}  # fmt: skip


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def settings(database: Database) -> dict[str, Any]:
    """No Redis answers at this address: these workers find jobs by polling the database."""
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


def assert_use_is_plausible(job: Job) -> None:
    """Assert that a job computed no longer than its processors were there, and had some memory."""
    assert 0 < job.attempt_cpu_seconds <= job.attempt_seconds * (os.cpu_count() or 1)
    assert 50_000_000 < job.attempt_peak_memory_bytes < psutil.virtual_memory().total
    assert job.attempt_peak_gpu_memory_bytes == 0


def test_a_worker_runs_without_redis_and_leaves_nothing_behind(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    with run_worker(database, tmp_path, **settings, slots=2) as worker:
        short = submit(fit={"epochs": 2, "batch_size": 64})
        until(lambda: look_at(database, short).state is JobState.SUCCEEDED)
        assert look_at(database, short).reason is Reason.COMPLETED
        assert_use_is_plausible(look_at(database, short))
        [liveness_file] = (tmp_path / "work").glob(f"*/alive.{socket.gethostname()}")
        touched = liveness_file.stat().st_mtime_ns
        until(lambda: liveness_file.stat().st_mtime_ns > touched)

        two = [submit(fit=ENDLESS) for _ in range(2)]
        for job_id in two:  # at the same time, because neither of them would ever end
            until(is_training(database, look_at, job_id))
        until(lambda: look_at(database, two[0]).attempt_cpu_seconds > 0)  # measured while it runs
        for process in [psutil.Process(worker.process.pid), *worker.descendants()]:
            environment = "".join(f"{name}={value}\n" for name, value in process.environ().items())
            assert "secret" not in environment
            assert "FITQUEUE" not in environment

        with database.write() as session:
            actions.cancel(session, two[0])
        until(lambda: look_at(database, two[0]).state is JobState.CANCELLED)

        processes = worker.descendants()
        assert worker.stop() == 0
        requeued = look_at(database, two[1])
        assert (requeued.state, requeued.failed_attempts) == (JobState.QUEUED, 0)
        assert_use_is_plausible(requeued)
        with database.read() as session:
            assert workers.list_alive(session, 3600.0) == []
        assert psutil.wait_procs(processes, 300)[1] == []
        assert list((tmp_path / "work").iterdir()) == []
        with database.write() as session:
            actions.cancel(session, two[1])


def test_a_stopping_worker_notifies_others_of_the_jobs_that_it_requeues(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt, redis: Any,
) -> None:  # fmt: skip
    """It does so last of all, when it no longer receives notifications itself."""
    redis.start()
    with run_worker(database, tmp_path, **settings | {"redis_url": redis.url}, slots=2) as worker:
        job_id = submit(fit=ENDLESS)
        until(is_training(database, look_at, job_id))
        assert worker.stop() == 0
    assert look_at(database, job_id).state is JobState.QUEUED
    with Client(port=redis.port) as client:
        assert client.llen(queue_name("default")) == 1


def test_another_worker_claims_the_job_of_a_killed_worker(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    job_id = submit(fit=ENDLESS)
    with run_worker(database, tmp_path, **settings) as first:
        until(is_training(database, look_at, job_id))
        processes = first.descendants()
        first.stop(signal.SIGKILL)
        assert psutil.wait_procs(processes, 300)[1] == []
        assert len(list((tmp_path / "work").iterdir())) == 1
        with run_worker(database, tmp_path, **settings) as second:
            until(lambda: look_at(database, job_id).attempt == 2)
            until(is_training(database, look_at, job_id))
            until(lambda: len(list((tmp_path / "work").iterdir())) == 1)  # the directory of the first one is removed
            assert look_at(database, job_id).failed_attempts == 1
            second.stop(signal.SIGINT)
            assert look_at(database, job_id).state is JobState.QUEUED


def has_snapshot(database: Database, job_id: str, epoch: int) -> Callable[[], bool]:
    """Return a function that tells whether the job would resume after at least this many epochs."""

    def look() -> bool:
        with database.read() as session:
            return any(snapshot.epoch >= epoch for snapshot in snapshots.newest_first(session, job_id))

    return look


def events(database: Database, job_id: str, kind: EventKind) -> list[dict[str, Any]]:
    with database.read() as session:
        return list(
            session.scalars(select(Event.data).where(Event.job_id == job_id, Event.kind == kind).order_by(Event.id))
        )


def test_a_job_that_was_killed_and_stopped_ends_like_an_undisturbed_one(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    settings = {**settings, "snapshot_seconds": 0}
    undisturbed, disturbed = submit(**JOB), submit(**JOB)
    with run_worker(database, tmp_path, **settings) as worker:
        until(lambda: look_at(database, undisturbed).state is JobState.SUCCEEDED)
        until(has_snapshot(database, disturbed, 1))
        worker.stop(signal.SIGKILL)
    with run_worker(database, tmp_path, **settings) as worker:
        until(lambda: look_at(database, disturbed).attempt == 2)
        until(has_snapshot(database, disturbed, 5))
        assert worker.stop() == 0
    requeued = look_at(database, disturbed)
    assert (requeued.state, requeued.failed_attempts) == (JobState.QUEUED, 1)
    with run_worker(database, tmp_path, **settings):
        until(lambda: look_at(database, disturbed).state is JobState.SUCCEEDED)
        # A file that the first worker had stored when it was killed, and has no row, is left for the sweeper.
        until(lambda: len([path for path in snapshot_files(tmp_path, disturbed) if path.name[0] != "1"]) == 1)

    assert result(database, disturbed) == result(database, undisturbed)
    job, expected = look_at(database, disturbed), look_at(database, undisturbed)
    assert (job.reason, job.message, job.best_epoch) == (expected.reason, expected.message, expected.best_epoch)
    assert (job.attempt, job.failed_attempts) == (3, 1)
    resumed = events(database, disturbed, EventKind.RESUMED)
    assert [event["exact"] for event in resumed] == [True, True]
    assert [event["epoch"] > 0 for event in resumed] == [True, True]


def snapshot_files(folder: Path, job_id: str) -> list[Path]:
    return list((folder / "storage" / "snapshots" / job_id).iterdir())


def test_a_paused_job_makes_room_and_ends_like_an_undisturbed_one(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    # Long enough for a request that is read once a second, and it must not stop early.
    early_stopping, *others = JOB["callbacks"]
    patient = {**early_stopping, "config": {**early_stopping["config"], "patience": 40}}
    job = {**JOB, "fit": {**JOB["fit"], "epochs": 24, "batch_size": 16}, "callbacks": [patient, *others]}
    with run_worker(database, tmp_path, **settings, slots=1, spare_children=False) as worker:
        idle = len(worker.descendants())
        undisturbed, disturbed = submit(**job), submit(**job)
        until(lambda: look_at(database, undisturbed).state is JobState.SUCCEEDED)
        until(lambda: look_at(database, disturbed).epoch >= 3)
        with database.write() as session:
            actions.pause(session, disturbed)
        until(lambda: look_at(database, disturbed).state is not JobState.RUNNING)
        paused = look_at(database, disturbed)
        assert (paused.state, paused.worker_id, paused.lease_expires_at) == (JobState.PAUSED, None, None)
        assert (paused.failed_attempts, paused.attempt) == (0, 1)
        assert paused.epoch < paused.epochs

        meanwhile = submit(fit={"epochs": 1, "batch_size": 64})
        until(lambda: look_at(database, meanwhile).state is JobState.SUCCEEDED)
        assert look_at(database, disturbed).version == paused.version

        with database.write() as session:
            actions.resume(session, disturbed)
        until(lambda: look_at(database, disturbed).state is JobState.SUCCEEDED)
        assert result(database, disturbed) == result(database, undisturbed)
        [resumed] = events(database, disturbed, EventKind.RESUMED)
        assert resumed["exact"] is True
        assert resumed["epoch"] >= 2
        assert look_at(database, disturbed).attempt == 2
        until(lambda: len(snapshot_files(tmp_path, disturbed)) == 1)

        endless = submit(fit=ENDLESS)
        until(is_training(database, look_at, endless))
        with database.write() as session:
            actions.cancel(session, endless)
        until(lambda: look_at(database, endless).state is JobState.CANCELLED)
        until(lambda: len(worker.descendants()) <= idle)
