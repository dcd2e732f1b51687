"""Whatever happens in whatever order: each job and each GPU has one holder at a time, each job ends once, and nothing
that an attempt without the lease writes counts.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import event

from fitqueue.states import JobState
from service.db import Database
from service.models import Job
from service.store import gpus, transitions
from tests.integration.fixture_types import MakeSpec
from tests.integration.store.lifecycle_machine import Clock, Lifecycle


def _run(database: Database, make_spec: MakeSpec, time: Clock) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Lifecycle(database, make_spec, time),
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # shrinking takes minutes, and the steps of a failure are readable as they are
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def database(database: Database) -> Database:
    """A database that does not flush: it need not survive a power cut, and these tests commit thousands of times."""
    if database._engine.dialect.name == "sqlite":
        event.listen(database._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return database


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    time = Clock()
    time.install(monkeypatch)
    return time


def test_each_job_has_one_holder_and_one_end(database: Database, make_spec: MakeSpec, time: Clock) -> None:
    _run(database, make_spec, time)


def test_without_the_fence_it_fails(
    database: Database, make_spec: MakeSpec, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: it does when the transitions do not compare the attempt any more."""
    monkeypatch.setattr(transitions, "_running", lambda _attempt: (Job.state == JobState.RUNNING,))
    with pytest.raises(BaseException, match=r"assert|is final|two workers hold"):
        _run(database, make_spec, time)


def test_without_the_release_of_gpus_it_fails(
    database: Database, make_spec: MakeSpec, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: it does when a job that leaves its worker keeps its GPUs."""
    monkeypatch.setattr(gpus, "release", lambda _session, _job: None)
    with pytest.raises(AssertionError):
        _run(database, make_spec, time)
