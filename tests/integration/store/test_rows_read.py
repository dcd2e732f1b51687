"""No list reads all jobs, whatever it is filtered and sorted by.

SQLite counts the steps of its virtual machine, of which each row that is read takes several. PostgreSQL counts the rows
that it reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from fitqueue.job_sort import JobSort
from fitqueue.states import JobState, Reason
from service.db import Database, make_engine
from service.models import ADMIN_ID, QUEUED, Job, User
from service.store import datasets, job_list, jobs, leases, tokens, waiting_jobs
from service.store.job_list import Filter
from service.store.waiting_jobs import QueueFilter
from tests.integration.fixture_types import MakeSpec

MANY = 4_000
"""Jobs of one user with one data set. Every second one is queued, and the others have succeeded."""

FEW = 20
"""How many jobs are rare here, so that `MANY` jobs are enough for the tests."""

LIMIT = 5

STEPS = 4
"""SQLite takes at least so many steps for each row that it reads."""

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "common state": {"states": [JobState.SUCCEEDED]},
    "state of no job": {"states": [JobState.RUNNING]},
    "user": {"submitted_by": "common"},
    "user without jobs": {"submitted_by": "idle"},
    "unknown user": {"submitted_by": "nobody"},
    "data set": {"dataset": "common"},
    "data set without jobs": {"dataset": "unused"},
    "built-in data set without jobs": {"dataset": "mnist"},
    "user, state of no job": {"submitted_by": "common", "states": [JobState.RUNNING]},
    "user, data set without jobs": {"submitted_by": "common", "dataset": "unused"},
    "user, data set, common state": {"submitted_by": "common", "dataset": "common", "states": [JobState.QUEUED]},
    "user, pool without jobs": {"submitted_by": "common", "pool": "none"},
}


@pytest.fixture
def many_jobs(database: Database, database_url: str, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(job_list, "_FEW_JOBS", FEW)
    with database.write() as session:
        for name in ("common", "unused"):
            datasets.create(session, f"ds_{name}", name, name, 10, {})
        token_id = tokens.verify(session, tokens.create(session, "common"))
        tokens.create(session, "idle")
        first = jobs.create(session, make_spec(), [], token_id=token_id, dataset_id="ds_common")
        columns = {column.key: getattr(first, column.key) for column in Job.__table__.columns}
        columns["builtin_dataset"] = None
        session.execute(insert(Job), [{**columns, **_ended_or_queued(first, n)} for n in range(MANY)])
    engine = make_engine(database_url)
    if engine.dialect.name == "postgresql":
        # PostgreSQL does it by itself within a minute of so many writes.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    return database


def _ended_or_queued(first: Job, n: int) -> dict[str, Any]:
    changes = {"id": f"{first.id}_{n:06d}", "name": f"job {n}", "pool": f"pool{n % 4}"}
    queued = {**changes, "state": JobState.QUEUED, "reason": None, "finished_at": None}
    succeeded = {**changes, "state": JobState.SUCCEEDED, "reason": Reason.COMPLETED}
    return queued if n % 2 else succeeded | {"finished_at": first.created_at + timedelta(seconds=n)}


@contextmanager
def _counted(session: Session) -> Iterator[list[int]]:
    """Count the rows that the block reads: on SQLite, the most that it can have read in its steps."""
    counts: list[int] = []
    if session.get_bind().dialect.name == "postgresql":
        before = _rows_read(session)
        yield counts
        counts.append(_rows_read(session) - before)
        return
    hundreds: list[None] = []
    connection: Any = session.connection().connection.driver_connection
    connection.set_progress_handler(lambda: hundreds.append(None), 100)
    yield counts
    connection.set_progress_handler(None, 100)
    counts.append(100 * len(hundreds) // STEPS)


def _rows_read(session: Session) -> int:
    """Return how many rows of the table of jobs, and of its indexes, this transaction has read."""
    query = (
        "SELECT pg_stat_get_xact_tuples_returned('jobs'::regclass) + (SELECT sum(pg_stat_get_xact_tuples_returned("
        "indexrelid)) FROM pg_index WHERE indrelid = 'jobs'::regclass)"
    )
    return int(session.scalar(text(query)) or 0)


def _read_two_pages(database: Database, sort: JobSort, **filters: Any) -> int:
    """Return what the costlier one of the first two pages reads."""
    counts = []
    cursor = None
    for _ in range(2):
        with database.read() as session, _counted(session) as count:
            _, cursor = job_list.list_page(session, Filter(**filters), cursor, LIMIT, sort)
        counts += count
        if cursor is None:
            break
    return max(counts)


def _read_queue(database: Database, pool: str | None) -> int:
    """Return what the first page of the queue reads."""
    with database.read() as session, _counted(session) as counts:
        rows, _ = waiting_jobs.list_page(session, QueueFilter(pool), None, LIMIT, 30)
    assert len(rows) == LIMIT
    return counts[0]


def test_no_list_reads_all_jobs(many_jobs: Database) -> None:
    counts = {
        (sort, name): _read_two_pages(many_jobs, sort, **filters)
        for sort in JobSort
        for name, filters in FILTERS.items()
    }
    assert max(counts.values()) < MANY / 2, counts
    assert max(_read_queue(many_jobs, None), _read_queue(many_jobs, "pool1")) < MANY / 2


def test_a_claim_does_not_read_the_jobs_of_those_who_are_at_a_limit(many_jobs: Database) -> None:
    def claim() -> object:
        return leases.claim(session, "w1", ["pool1"], [], 30)

    with many_jobs.write() as session:
        assert claim() is not None
        session.get_one(User, ADMIN_ID).limits = {"running_jobs": 1}
    with many_jobs.write() as session, _counted(session) as counts:
        assert claim() is None
    assert counts[0] < MANY / 8, "every fourth job is queued in this pool"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_being_told_which_index_to_use_sqlite_reads_all_jobs(
    many_jobs: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_list, "_looked_up", lambda _session, conditions, _sort: conditions)
    monkeypatch.setattr(waiting_jobs, "_is_queued", lambda _session: Job.state == QUEUED)
    assert _read_two_pages(many_jobs, JobSort.NAME, **FILTERS["common state"]) > MANY
    assert _read_queue(many_jobs, None) > MANY
