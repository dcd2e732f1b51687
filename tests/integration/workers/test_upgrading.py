"""An upgrade while jobs run: the worker is stopped, the database migrated, and the next worker trains on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from fitqueue.states import JobState
from service import migrate
from service.db import Database, make_engine
from service.migrate import upgrade
from service.store import jobs
from tests.integration.workers.test_restored_training import JOB, LEASE_SECONDS, LONG
from tests.integration.workers.test_worker import LookAt, Until, settings
from tests.results import result

__all__ = ["settings"]

TRAINED = 5
SHORTER = JOB | {"fit": JOB["fit"] | {"epochs": 60}}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def _turn_into_the_version_before(database_url: str) -> None:
    """Take away what the newest migration added, as if it had not been there yet."""
    config, engine = Config(), make_engine(database_url)
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    engine.dispose()


@pytest.mark.timeout(1800)
def test_a_job_that_runs_during_an_upgrade_ends_as_if_nothing_had_happened(
    database: Database, database_url: str, settings: dict[str, Any], tmp_path: Path, run_worker: Any,
    make_spec: Callable[..., Any], until: Until, look_at: LookAt,
) -> None:  # fmt: skip
    settings = {**settings, "lease_seconds": LEASE_SECONDS}
    with database.write() as session:
        undisturbed, disturbed = (jobs.create(session, make_spec(**SHORTER), []).id for _ in range(2))
    with run_worker(database, tmp_path, **settings, drain_seconds=0.2) as worker:
        until(lambda: look_at(database, disturbed).epoch >= TRAINED, LONG)
        assert worker.stop() == 0
    stopped = look_at(database, disturbed)
    assert (stopped.state, stopped.attempt, stopped.failed_attempts) == (JobState.QUEUED, 1, 0)

    _turn_into_the_version_before(database_url)
    upgrade(database_url)

    with run_worker(database, tmp_path, **settings) as worker:
        until(lambda: look_at(database, disturbed).state is JobState.SUCCEEDED, LONG)
        worker.stop()
    assert look_at(database, disturbed).attempt == 2
    assert result(database, disturbed) == result(database, undisturbed)
