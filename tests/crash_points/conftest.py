"""Workers that are real but for their start: processes forked from the test, which share its nursery.

To start a worker anew after each crash would take ten seconds of importing TensorFlow, a hundred times over.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from fitqueue.spec import parse_job
from service import clock
from service.dataset_cache import DatasetCache
from service.db import Database
from service.models import Job
from service.storage import FolderStorage
from service.store import events, jobs, leases
from tests.crash_points.plan import NO_CRASH, Plan
from tests.results import result
from workers.supervisor.fork_server import ForkServer
from workers.supervisor.supervisor import Supervisor, WorkerContext

LEASE_SECONDS = 30.0
MOST_ATTEMPTS = 6

JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
                {"class_name": "Flatten", "config": {}},
                {"class_name": "Dropout", "config": {"rate": 0.3}},
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
            ]
        },
    },
    "compile": {
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    },
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train", "prepare": {"x": [{"scale": 0.0625}]}},
    "fit": {"epochs": 12, "batch_size": 512, "shuffle": True, "verbose": 0},
    "callbacks": [
        {"class_name": "EarlyStopping", "config": {
            "monitor": "loss", "timeouts": 2, "min_delta": 0.35, "restore_best_weights": True}},
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "timeouts": 1, "min_delta": 0.4}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "e{epoch:02d}-{loss:.4f}.weights.h5", "monitor": "loss", "save_best_only": True,
            "save_weights_only": True}},
    ],
    "seed": 11,
    "max_attempts": 20,
}  # fmt: skip
"""A few batches an epoch, stopped early by a callback: every kind of state that a snapshot holds is at work in it."""

Before = Callable[[int, Database], None]
"""What is done in a worker's process before it claims: its attempt, and the database that it will use."""
Pointer = Callable[[Database], WorkerContext]


@pytest.fixture
def submit(database: Database) -> Callable[..., str]:
    """Stores the job, which tells its training process of the plan; its id."""

    def submit(plan: Plan = NO_CRASH) -> str:
        spec = parse_job({**JOB, "name": plan.name}, lambda _: None).spec
        with database.write() as session:
            return jobs.create(session, spec, []).id

    return submit


@pytest.fixture
def place(tmp_path: Path, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> Pointer:
    """A worker's place, whose children crash where their jobs say."""
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(database: Database) -> WorkerContext:
        store = FolderStorage(tmp_path / "store")
        return WorkerContext(
            database=database,
            store=store,
            datasets=DatasetCache(store, tmp_path / "datasets", 0),
            fork_server=ForkServer("crashing_child"),
            work_dir=tmp_path / f"work-{os.getpid()}",
            kept=tmp_path / "kept",
            lease_seconds=LEASE_SECONDS,
            cpu_devices=1,
            threads=1,
            snapshot_seconds=0.0,
            stopping=Event(),
        )

    return make


@pytest.fixture
def work(
    database_url: str, place: Pointer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Database], None]], int]:
    """Claims one job and trains it, in a process of its own; how that ended, as os.waitpid tells."""

    def work(before: Callable[[Database], None]) -> int:
        pid = os.fork()
        if pid == 0:
            with _leaving():
                # It may not wait for a process that is not its child, as multiprocessing would.
                for where in (forkserver, forkserver._forkserver):
                    monkeypatch.setattr(where, "ensure_running", lambda: None)
                _claim_and_train(place(Database(database_url)), before)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return work


@contextmanager
def _leaving() -> Iterator[None]:
    """Nothing of pytest's happens in the forked process."""
    code = 1
    try:
        yield
        code = 0
    except BaseException as error:
        sys.__stderr__.write(f"the worker failed: {error!r}\n")
    finally:
        os._exit(code)


def _claim_and_train(place: WorkerContext, before: Callable[[Database], None]) -> None:
    database = place.database
    before(database)
    with database.write() as session:
        claimed = leases.claim(session, f"wk_{os.getpid()}", ["default"], [], LEASE_SECONDS)
    assert claimed is not None
    Supervisor(place, claimed).run()


@pytest.fixture
def train(
    work: Callable[..., int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Job, list[int]]]:
    """Has workers work on a job until it ends, each with the job's next attempt; the job, and how each worker ended.

    After a crash the lease runs out, and the time to wait.
    """
    shift, real = [timedelta()], clock.now
    monkeypatch.setattr(clock, "now", lambda session: real(session) + shift[0])

    def train(job_id: str, before: Before = lambda attempt, database: None) -> tuple[Job, list[int]]:
        ends: list[int] = []
        while not (job := _job(database, job_id)).state.is_final:
            assert len(ends) < MOST_ATTEMPTS, (ends, job.message)
            ends.append(work(partial(before, len(ends) + 1)))
            shift[0] += timedelta(seconds=2 * LEASE_SECONDS)
            with database.write() as session:
                leases.expire_leases(session)
            shift[0] += timedelta(seconds=leases.LONGEST_BACKOFF_SECONDS)
        return job, ends

    return train


@pytest.fixture(scope="session")
def known() -> dict[str, Any]:
    """What a job that nothing happens to leaves, once it is known: it is the same each time."""
    return {}


@pytest.fixture
def peaceful(
    known: dict[str, Any], submit: Callable[..., str], train: Callable[..., Any], database: Database
) -> dict[str, Any]:
    """What the job leaves where nothing crashes."""
    if not known:
        job_id = submit()
        _, ends = train(job_id)
        assert ends == [0], told(database, job_id)
        known |= result(database, job_id)
    return known


def told(database: Database, job_id: str) -> list[str]:
    """What happened to the job, for people who look at a failure."""
    with database.read() as session:
        return [f"{event.kind}: {event.message}" for event in events.list_after(session, job_id, 0, 1_000)]


def _job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, job_id)
