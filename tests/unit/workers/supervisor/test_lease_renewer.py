"""The lease is renewed while the supervisor shows that it does not hang."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fitqueue.spec import parse_job
from service.db import Database
from service.migrate import upgrade
from service.store import actions, attempt_outcomes, jobs, leases
from service.store.leases import Lease, LeaseLost, StopRequests
from tests.waiting import until
from workers.supervisor.lease_renewer import LeaseRenewer

JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 10}}]},
    },
    "compile": {"optimizer": "adam", "loss": "mse"},
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
    "fit": {"epochs": 1},
}
SECONDS = 60.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'fitqueue.db'}"
    upgrade(url)
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def lease(database: Database) -> Lease:
    with database.write() as session:
        jobs.create(session, parse_job(JOB, lambda _: None).spec, [])
    with database.write() as session:
        claimed = leases.claim(session, "wk_1", ["default"], [], lease_seconds=30.0)
    assert claimed is not None
    return claimed.lease


@pytest.fixture
def expires_at(database: Database, lease: Lease) -> Callable[[], datetime]:
    def expires_at() -> datetime:
        with database.read() as session:
            expiry = jobs.get(session, lease.job_id).lease_expires_at
        assert expiry is not None
        return expiry

    return expires_at


def test_a_lease_is_renewed_and_brings_what_users_have_asked(
    database: Database, lease: Lease, expires_at: Callable[[], datetime]
) -> None:
    first = expires_at()
    with LeaseRenewer(database, lease, lease_seconds=30.0, hang_timeout=SECONDS) as renewer:
        assert renewer.requests == StopRequests()
        with database.write() as session:
            actions.pause(session, lease.job_id)
        until(lambda: renewer.requests == StopRequests(pause=True), SECONDS, "a renewal")
        renewer.check_in()
    assert expires_at() > first


def test_a_lost_lease_is_reported(database: Database, lease: Lease) -> None:
    renewer = LeaseRenewer(database, lease, lease_seconds=0.3, hang_timeout=SECONDS)
    with database.write() as session:
        attempt_outcomes.requeue(session, lease, "The test requeues it.")
    with renewer:
        until(lambda: not renewer._thread.is_alive(), SECONDS, "the failed renewal")
        with pytest.raises(LeaseLost):
            renewer.check_in()


def test_the_lease_of_a_hanging_supervisor_is_not_renewed(
    database: Database, lease: Lease, expires_at: Callable[[], datetime]
) -> None:
    """A renewal by the thread itself must not look like a sign of life of the supervisor."""
    with LeaseRenewer(database, lease, lease_seconds=0.3, hang_timeout=0.5) as renewer:
        until(lambda: not renewer._thread.is_alive(), SECONDS, "the end of the renewals")
        assert expires_at() <= datetime.now(UTC) + timedelta(seconds=0.3)
