"""What users and projects have used: it stays when their jobs are deleted, and each file counts once."""

import pytest
from sqlalchemy import update

from service import clock
from service.db import Database
from service.models import Job, OwnerUsage, Project, User
from service.store import deletions, jobs, leases, owner_usage, recording
from service.store.leases import Lease
from service.store.owner_usage import By, OwnerUse
from service.store.usage import MeasuredUse
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.integration.store.operations import FOUR_GPUS, finish, record_snapshot, requeue
from tests.reports import artifact_written, checkpoint_written


@pytest.fixture
def lease(database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock) -> Lease:
    """The lease of a job of the user ada in the project vision that has trained on two GPUs for 100 seconds."""
    with database.write() as session:
        now = clock.now(session)
        session.add(User(id="usr_ada", name="ada", role="member", created_at=now))
        session.add(Project(id="prj_vision", name="vision", created_at=now))
    job_id = submit(resources={"gpus": 2})
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(owner_id="usr_ada", project_id="prj_vision"))
    lease = claim(gpus=FOUR_GPUS, seconds=1000.0).lease
    advance_clock(100)
    with database.write() as session:
        leases.renew(session, lease, 1000.0, MeasuredUse(12.0, 1, 0))
    return lease


def read(database: Database, by: By) -> dict[str, OwnerUse]:
    with database.read() as session:
        return {use.name: use for use in owner_usage.read(session, by)}


def assert_use(database: Database, *, cpu: float, gpu: float, jobs: int, stored: int) -> None:
    for by, name, other in (("user", "ada", "admin"), ("project", "vision", "lab")):
        uses = read(database, by)  # type: ignore[arg-type]
        use = uses[name]
        assert (use.cpu_seconds, use.jobs, use.stored_bytes) == (cpu, jobs, stored)
        assert use.gpu_seconds == pytest.approx(gpu, abs=20)
        assert uses[other] == OwnerUse(other, 0.0, 0.0, 0, 0)


def test_a_running_attempt_counts_and_stays_when_the_job_is_deleted(database: Database, lease: Lease) -> None:
    assert_use(database, cpu=12.0, gpu=200.0, jobs=1, stored=0)
    assert finish(database, lease)
    assert_use(database, cpu=12.0, gpu=200.0, jobs=1, stored=0)
    with database.write() as session:
        jobs.delete(session, lease.job_id)
    assert_use(database, cpu=12.0, gpu=200.0, jobs=1, stored=0)
    while True:
        with database.write() as session:
            if deletions.delete_some(session) is None:
                break
    with database.read() as session:
        assert session.get(Job, lease.job_id) is None
    assert_use(database, cpu=12.0, gpu=200.0, jobs=1, stored=0)


def test_attempts_add_up(database: Database, lease: Lease, claim: Claim) -> None:
    requeue(database, lease)
    second = claim(gpus=FOUR_GPUS, seconds=1000.0).lease
    with database.write() as session:
        leases.renew(session, second, 1000.0, MeasuredUse(3.0, 1, 0))
    assert_use(database, cpu=15.0, gpu=200.0, jobs=1, stored=0)
    assert finish(database, second)
    assert_use(database, cpu=15.0, gpu=200.0, jobs=1, stored=0)
    with database.read() as session:
        assert [row.owner_id for row in session.query(OwnerUsage)] == ["usr_ada"]


def test_a_file_with_several_names_is_stored_once(database: Database, lease: Lease) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_checkpoint(session, job, checkpoint_written(["best", "last"], size=70), "key")
        recording.record_checkpoint(session, job, checkpoint_written(["e1"], size=70), "another")
        recording.record_artifact(session, job, artifact_written("log.csv"), "artifact")
    record_snapshot(database, lease, 1)
    assert_use(database, cpu=12.0, gpu=200.0, jobs=1, stored=160)
