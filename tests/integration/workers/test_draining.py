"""A whole worker that is drained by a user, and that drains when it is stopped."""

import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from fitqueue.states import EventKind, JobState
from service.db import Database
from service.models import Event
from service.store import actions, workers
from tests.integration.fixture_types import Submit
from tests.integration.workers.test_worker import ENDLESS, LookAt, Until, is_training, settings

__all__ = ["settings"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def _messages(database: Database, job_id: str, kind: EventKind) -> list[str]:
    with database.read() as session:
        events = session.scalars(select(Event).where(Event.job_id == job_id, Event.kind == kind).order_by(Event.id))
        return [event.message for event in events]


def test_a_worker_is_drained_claims_again_and_drains_when_it_is_stopped(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Submit, until: Until,
    look_at: LookAt,
) -> None:  # fmt: skip
    with run_worker(database, tmp_path, **settings, drain_seconds=3600) as worker:
        job_id = submit(fit=ENDLESS)
        until(is_training(database, look_at, job_id))
        worker_id = look_at(database, job_id).worker_id
        with database.write() as session:
            workers.drain(session, worker_id, 0)
        until(lambda: look_at(database, job_id).state is JobState.QUEUED)
        drained = look_at(database, job_id)
        assert _messages(database, job_id, EventKind.REQUEUED) == ["The worker was drained; the job is queued again."]
        assert (drained.attempt, drained.failed_attempts) == (1, 0)

        with database.write() as session:
            workers.end_drain(session, worker_id)
        until(lambda: is_training(database, look_at, job_id)() and _messages(database, job_id, EventKind.RESUMED))
        assert look_at(database, job_id).attempt == 2

        worker.process.send_signal(signal.SIGTERM)
        until(lambda: _drains(database, worker_id))
        epoch = look_at(database, job_id).epoch
        until(lambda: look_at(database, job_id).epoch > epoch)
        with database.write() as session:
            actions.cancel(session, job_id)
        assert worker.process.wait(300) == 0
        assert look_at(database, job_id).state is JobState.CANCELLED


def _drains(database: Database, worker_id: str) -> bool:
    with database.read() as session:
        return workers.is_draining(session, worker_id)
