"""Whichever process crashes at whichever step, once or twice: the job ends as if nothing had happened."""

import hashlib
import random
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.db import Database
from service.models import Job
from service.storage import FolderStorage
from service.store import attempt_outcomes, checkpoints, leases, recording, snapshots
from tests.crash_points.conftest import BeforeClaim, history
from tests.crash_points.plan import Moment, Plan, make_crash
from tests.results import result
from tests.unreliable import Faults
from workers.supervisor.fork_server import ForkServer

Submit = Callable[..., str]
Train = Callable[..., tuple[Job, list[int]]]

WORKER_STEPS: dict[str, tuple[Any, str, int]] = {
    "claim": (leases, "claim", 1),
    "begin": (recording, "begin_training", 1),
    "spawn": (ForkServer, "spawn", 1),
    "store": (FolderStorage, "put", 3),
    "record": (recording, "record_epoch", 2),
    "delete": (FolderStorage, "delete", 2),
    "finish": (attempt_outcomes, "finish", 1),
}
"""For each step: what does it, and which call of it crashes, counted from 1."""
CHILD_STEPS = ("save", "flush", "rename", "report", "snapshot")
COMMITS = (1, 2, 5, 9, 13)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


PLANS = [
    Plan(step, moment, attempts)
    for step in (*WORKER_STEPS, *CHILD_STEPS)
    for moment in ("before", "after")
    for attempts in (1, 2)
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_crash_at_each_step(
    plan: Plan, submit: Submit, train: Train, expected: dict[str, Any], database: Database, tmp_path: Path
) -> None:
    job_id = submit(plan)
    _, exit_codes = train(job_id, crash_in_worker(plan))
    killed = [-signal.SIGKILL if plan.step in WORKER_STEPS else 0] * plan.attempts
    # If the first crash was after the job's end, no process reaches the step again.
    assert exit_codes in ([*killed, 0], killed[:1]), history(database, job_id)
    assert result(database, job_id) == expected, history(database, job_id)
    check_files(database, job_id, tmp_path)


@pytest.mark.parametrize("batch", range(1, 10))
def test_a_kill_at_each_batch(
    batch: int, submit: Submit, train: Train, expected: dict[str, Any], database: Database
) -> None:
    """There are three epochs of three batches each."""
    assert [steps for _, _, steps in expected["epochs"]] == [3, 3, 3]
    job_id = submit(Plan("batch", "before", occurrence=batch))
    job, exit_codes = train(job_id)
    assert (exit_codes, job.failed_attempts) == ([0, 0], 1), history(database, job_id)
    assert result(database, job_id) == expected, history(database, job_id)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", COMMITS)
def test_a_crash_at_a_commit(
    commit: int, moment: Moment, submit: Submit, train: Train, expected: dict[str, Any], database: Database
) -> None:
    def before(attempt: int, database: Database) -> None:
        if attempt == 1:
            make_crash(dialect_of(database), "do_commit", moment, commit)

    job_id = submit()
    _, exit_codes = train(job_id, before)
    assert exit_codes == [-signal.SIGKILL, 0], history(database, job_id)
    assert result(database, job_id) == expected, history(database, job_id)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", COMMITS)
def test_a_commit_whose_answer_is_lost(
    commit: int, moment: Moment, submit: Submit, train: Train, expected: dict[str, Any], database: Database
) -> None:
    """Committed or not, the worker only sees that the database is gone. Its attempt may fail, but not the job."""

    def before(attempt: int, database: Database) -> None:
        if attempt == 1:
            make_crash(dialect_of(database), "do_commit", moment, commit, act=lose_connection)

    job_id = submit()
    _, exit_codes = train(job_id, before)
    assert len(exit_codes) == 1 if commit > 1 else len(exit_codes) <= 2, history(database, job_id)
    assert result(database, job_id) == expected, history(database, job_id)
    epochs = [line for line in history(database, job_id) if line.startswith("epoch_ended")]
    assert len(epochs) == len(set(epochs)) == len(expected["epochs"]), "each epoch must be recorded once"


def test_one_call_in_twenty_of_the_database_fails(
    submit: Submit, train: Train, expected: dict[str, Any], database: Database
) -> None:
    """Half of them fail after they were done. Everything is recorded once and in order, and nothing is missing."""

    def before(attempt: int, database: Database) -> None:
        dialect = dialect_of(database)
        dialect.do_commit = Faults(random.Random(attempt), share=0.05).failing(dialect.do_commit)

    for _ in range(5):
        job_id = submit()
        train(job_id, before)
        assert result(database, job_id) == expected, history(database, job_id)


def crash_in_worker(plan: Plan) -> BeforeClaim:
    def before(attempt: int, database: Database) -> None:
        if plan.step in WORKER_STEPS and attempt <= plan.attempts:
            owner, attribute, occurrence = WORKER_STEPS[plan.step]
            make_crash(owner, attribute, plan.moment, occurrence)

    return before


def dialect_of(database: Database) -> Any:
    return type(database._engine.dialect)


def lose_connection() -> None:
    raise sqlite3.OperationalError("the connection was lost")


def lose_answer_to_finish(database: Database) -> None:
    """The job is ended, but the worker only sees that the database is gone."""
    dialect = dialect_of(database)
    make_crash(
        attempt_outcomes,
        "finish",
        "after",
        1,
        act=lambda: make_crash(dialect, "do_commit", "after", 1, act=lose_connection),
    )


def check_files(database: Database, job_id: str, folder: Path) -> None:
    """Check that the files of all rows read back as they were written. One snapshot is left, for an extension."""
    storage = FolderStorage(folder / "storage")
    with database.read() as session:
        saved = {row.storage_key: row.sha256 for row in checkpoints.list_page(session, job_id, None, 100)}
        remaining = {row.storage_key: row.sha256 for row in snapshots.newest_first(session, job_id)}
    for key, sha256 in (saved | remaining).items():
        assert hashlib.sha256(b"".join(storage.open(key))).hexdigest() == sha256
    assert len(remaining) == 1
