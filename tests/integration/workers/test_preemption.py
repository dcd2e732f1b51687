"""A whole worker whose preemptible job makes room for another one, and goes on exactly where it stopped."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from fitqueue.states import EventKind, JobState
from service.db import Database
from service.models import Event
from tests.integration.fixture_types import Submit
from tests.integration.workers.test_worker import LookAt, Until, is_training, settings
from tests.results import result

__all__ = ["settings"]

LONG = {"epochs": 6, "batch_size": 1, "shuffle": True, "verbose": 0}
HANDED_OVER_SECONDS = 60.0
"""It takes four seconds on an idle machine; the promise is 15."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def _kinds(database: Database, job_id: str) -> list[EventKind]:
    with database.read() as session:
        return list(session.scalars(select(Event.kind).where(Event.job_id == job_id).order_by(Event.id)))


def test_a_preempted_job_goes_on_exactly_and_the_device_is_handed_over(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Submit, until: Until,
    look_at: LookAt,
) -> None:  # fmt: skip
    with run_worker(database, tmp_path, **settings | {"lease_seconds": 30.0}):
        undisturbed = submit(fit=LONG, seed=5)
        until(lambda: look_at(database, undisturbed).state is JobState.SUCCEEDED)

        idle = submit(fit=LONG, seed=5, preemptible=True)
        until(is_training(database, look_at, idle))
        began = time.monotonic()
        other = submit(fit={"epochs": 1, "batch_size": 64})
        until(lambda: look_at(database, other).attempt == 1)
        seconds = time.monotonic() - began
        (tmp_path / "seconds").write_text(f"{seconds:.1f}")
        assert seconds < HANDED_OVER_SECONDS
        assert look_at(database, idle).failed_attempts == 0
        until(lambda: look_at(database, idle).state is JobState.SUCCEEDED)
    kinds = _kinds(database, idle)
    assert kinds.count(EventKind.CLAIMED) == 2
    assert EventKind.RESUMED in kinds
    assert result(database, idle) == result(database, undisturbed)
