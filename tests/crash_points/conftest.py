"""Workers that are real except for their start: processes forked from the test, which share its fork server.

Starting a new worker after each crash would take ten seconds to import TensorFlow, a hundred times.
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
from service.store import attempt_outcomes, events, jobs, leases, retry_policy
from tests.crash_points.plan import NO_CRASH, Plan
from tests.results import result
from tests.small_job import WITH_DROPOUT
from tests.storages import new_storage
from workers.supervisor.context import WorkerContext
from workers.supervisor.fork_server import ForkServer
from workers.supervisor.supervisor import Supervisor

LEASE_SECONDS = 30.0
MAX_ATTEMPTS = 6

JOB: dict[str, Any] = {
    **WITH_DROPOUT,
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train", "prepare": {"x": [{"scale": 0.0625}]}},
    "fit": {"epochs": 12, "batch_size": 512, "shuffle": True, "verbose": 0},
    "callbacks": [
        {"class_name": "EarlyStopping", "config": {
            "monitor": "loss", "patience": 2, "min_delta": 0.35, "restore_best_weights": True}},
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "patience": 1, "min_delta": 0.4}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "e{epoch:02d}-{loss:.4f}.weights.h5", "monitor": "loss", "save_best_only": True,
            "save_weights_only": True}},
    ],
    "seed": 11,
    "max_attempts": 20,
}  # fmt: skip
"""A few batches per epoch, stopped early by a callback: it uses every kind of state that a snapshot holds."""

BeforeClaim = Callable[[int, Database], None]
"""Called in a worker's process before it claims, with the number of the attempt and the database that it will use."""
MakeContext = Callable[[Database], WorkerContext]


@pytest.fixture
def submit(database: Database) -> Callable[..., str]:
    """Store the job, whose name is the plan for its training process; return its id."""

    def submit(plan: Plan = NO_CRASH) -> str:
        spec = parse_job({**JOB, "name": plan.name}, lambda _: None).spec
        with database.write() as session:
            return jobs.create(session, spec, []).id

    return submit


@pytest.fixture
def make_context(tmp_path: Path, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> MakeContext:
    """Make the context of a worker whose children crash where their jobs say."""
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def make(database: Database) -> WorkerContext:
        storage = new_storage(tmp_path / "storage")
        return WorkerContext(
            database=database,
            storage=storage,
            datasets=DatasetCache(storage, tmp_path / "datasets", 0),
            fork_server=ForkServer("crashing_child"),
            work_dir=tmp_path / f"work-{os.getpid()}",
            unsaved_dir=tmp_path / "unsaved",
            lease_seconds=LEASE_SECONDS,
            cpu_devices=1,
            threads=1,
            snapshot_seconds=0.0,
            stopping=Event(),
        )

    return make


@pytest.fixture
def work(
    database_url: str, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Database], None]], int]:
    """Claim a job and train it in a process of its own; return the exit code of that, as os.waitpid reports it."""

    def work(before: Callable[[Database], None]) -> int:
        pid = os.fork()
        if pid == 0:
            with _exiting():
                # multiprocessing would wait for the fork server, which is not a child of this process.
                for owner in (forkserver, forkserver._forkserver):
                    monkeypatch.setattr(owner, "ensure_running", lambda: None)
                _claim_and_train(make_context(Database(database_url)), before)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return work


@contextmanager
def _exiting() -> Iterator[None]:
    """Exit after the block, so that nothing of pytest runs in the forked process."""
    code = 1
    try:
        yield
        code = 0
    except BaseException as error:
        sys.__stderr__.write(f"the worker failed: {error!r}\n")
    finally:
        os._exit(code)


def _claim_and_train(context: WorkerContext, before: Callable[[Database], None]) -> None:
    database = context.database
    before(database)
    with database.write() as session:
        claimed = leases.claim(session, f"wk_{os.getpid()}", ["default"], [], LEASE_SECONDS)
    assert claimed is not None
    Supervisor(context, claimed).run()


@pytest.fixture
def train(
    work: Callable[..., int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Job, list[int]]]:
    """Let workers train a job until it ends, one attempt each; return the job, and the exit code of each worker.

    After a crash, the clock is moved past the lease and past the pause.
    """
    shift, real = [timedelta()], clock.now
    monkeypatch.setattr(clock, "now", lambda session: real(session) + shift[0])

    def train(job_id: str, before: BeforeClaim = lambda attempt, database: None) -> tuple[Job, list[int]]:
        exit_codes: list[int] = []
        while not (job := _job(database, job_id)).state.is_final:
            assert len(exit_codes) < MAX_ATTEMPTS, (exit_codes, job.message)
            exit_codes.append(work(partial(before, len(exit_codes) + 1)))
            shift[0] += timedelta(seconds=2 * LEASE_SECONDS)
            with database.write() as session:
                attempt_outcomes.expire_leases(session)
            shift[0] += timedelta(seconds=retry_policy.OUTAGE_DELAY_SECONDS)
        return job, exit_codes

    return train


@pytest.fixture(scope="session")
def cached_result() -> dict[str, Any]:
    """The result of an undisturbed job, once one has run: it is the same each time."""
    return {}


@pytest.fixture
def expected(
    cached_result: dict[str, Any], submit: Callable[..., str], train: Callable[..., Any], database: Database
) -> dict[str, Any]:
    """The result of the job if nothing crashes."""
    if not cached_result:
        job_id = submit()
        _, exit_codes = train(job_id)
        assert exit_codes == [0], history(database, job_id)
        cached_result |= result(database, job_id)
    return cached_result


def history(database: Database, job_id: str) -> list[str]:
    """Return the events of the job, for people who look at a failed test."""
    with database.read() as session:
        return [f"{event.kind}: {event.message}" for event in events.list_after(session, job_id, 0, 1_000)]


def _job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, job_id)
