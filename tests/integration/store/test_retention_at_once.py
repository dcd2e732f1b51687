"""Several workers remove at the same time, and users change the jobs meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from fitqueue.retention import Retention
from service.db import Database
from service.models import LAB_ID, Event, Job, LogLine
from service.store import leases, recording, removals, retention
from tests.integration.fixture_types import AdvanceClock, Submit
from tests.integration.store.operations import finish
from tests.reports import printed

DAY = 86_400.0
JOBS = 24


@pytest.fixture
def ended_jobs(database: Database, submit: Submit) -> list[str]:
    return [_ended(database, submit) for _ in range(JOBS)]


def _ended(database: Database, submit: Submit) -> str:
    job_id = submit()
    with database.write() as session:
        claimed = leases.claim(session, "w1", ("default",), [], 30.0)
    assert claimed is not None
    with database.write() as session:
        job = leases.held_job(session, claimed.lease)
        recording.record_lines(session, job, [printed(f"line {n}") for n in range(5)])
    assert finish(database, claimed.lease)
    return job_id


def test_several_workers_remove_each_row_once(
    database: Database, ended_jobs: list[str], advance_clock: AdvanceClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "ROWS", 7)
    monkeypatch.setattr(removals, "JOBS", 3)
    monkeypatch.setattr(retention, "DATED", 5)
    with database.write() as session:
        retention.set(session, LAB_ID, Retention(logs_days=2))
    advance_clock(3 * DAY)

    def work(_: Any) -> int:
        rows = idle = 0
        while idle < 3:  # another worker may hold all that is due
            with database.write() as session:
                removed = removals.remove_some(session)
            rows += removed.rows if removed is not None else 0
            idle = idle + 1 if removed is None else 0
        return rows

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 5 * JOBS
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LogLine)) == 0
        told = select(Event.job_id, func.count()).where(Event.kind == "removed").group_by(Event.job_id)
        assert dict(session.execute(told).all()) == dict.fromkeys(ended_jobs, 1)
        assert session.scalar(select(func.count()).where(Job.retention_due_at.is_(None))) == 0  # snapshots, one day
