"""Claims, leases and the fence: who may train a job, until when, and what an attempt without the lease cannot do."""

import threading

import pytest
from sqlalchemy import Connection, event, func, select

from fitqueue.states import EventKind, JobState, Phase, Reason
from service.db import Database
from service.models import Event
from service.store import actions, attempt_outcomes, leases, recording
from service.store.leases import Lease, LeaseLost, StopRequests
from service.store.retry_policy import AttemptFailure
from tests.integration.fixture_types import AdvanceClock, Claim, Submit, TryClaim
from tests.integration.store.operations import event_kinds, expire_leases, finish, get_job, record_epoch, requeue

# --- Claims -----------------------------------------------------------------------------------------------------------


def test_a_claim_takes_the_job_of_the_highest_priority_and_then_the_oldest(submit: Submit, try_claim: TryClaim) -> None:
    first, urgent, second = submit(), submit(priority=5), submit()
    claims = [try_claim(f"w{n}") for n in range(4)]
    assert [claimed and claimed.lease.job_id for claimed in claims] == [urgent, first, second, None]


def test_a_claim_returns_everything_that_a_worker_needs(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit(seed=7)
    claimed = claim("w1")
    assert claimed.lease == Lease(job_id, 1, "w1")
    assert claimed.spec["seed"] == 7
    assert (claimed.dataset_key, claimed.seconds_used, claimed.gpus) == (None, 0.0, ())
    job = get_job(database, job_id)
    assert (job.state, job.worker_id, job.attempt, job.pool) == (JobState.RUNNING, "w1", 1, "default")
    assert job.started_at is not None
    assert job.lease_expires_at is not None


def test_a_claim_takes_only_jobs_of_its_pools_that_fit_its_gpus(
    submit: Submit, try_claim: TryClaim, claim: Claim
) -> None:
    other_pool = submit(resources={"pool": "large"})
    two_gpus = submit(resources={"gpus": 2})
    assert try_claim(pools=("default",), gpus=["GPU-a"]) is None
    claimed = claim(pools=("default", "large"), gpus=["GPU-a"])
    assert claimed.lease.job_id == other_pool
    claimed = claim(gpus=["GPU-a", "GPU-b"])
    assert claimed.lease.job_id == two_gpus
    assert claimed.gpus == ("GPU-a", "GPU-b")


def test_concurrent_claims_take_different_jobs(database: Database, submit: Submit) -> None:
    submitted = {submit() for _ in range(30)}
    claimed_ids: list[str] = []
    errors: list[BaseException] = []
    start = threading.Barrier(6)

    def work(worker: str) -> None:
        start.wait()
        try:
            while True:
                with database.write() as session:
                    claimed = leases.claim(session, worker, ["default"], [], 30)
                if claimed is None:
                    return
                claimed_ids.append(claimed.lease.job_id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(claimed_ids) == 30
    assert set(claimed_ids) == submitted


# --- The end of a job -------------------------------------------------------------------------------------------------


def test_finish_ends_the_job_and_may_be_called_again(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    claimed = claim()
    assert finish(database, claimed.lease)
    assert finish(database, claimed.lease), "the answer to the first commit may have been lost"
    job = get_job(database, job_id)
    assert (job.state, job.reason, job.message) == (JobState.SUCCEEDED, Reason.COMPLETED, "The training ended.")
    assert job.finished_at is not None
    assert (job.lease_expires_at, job.worker_id) == (None, "w1")
    assert event_kinds(database, job_id) == [EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.SUCCEEDED]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_ends_a_job_in_a_final_state(
    database: Database, submit: Submit, claim: Claim, reason: Reason
) -> None:
    job_id = submit()
    claimed = claim()
    assert finish(database, claimed.lease, reason)
    job = get_job(database, job_id)
    assert job.reason is reason
    assert job.state.is_final


# --- Renewals and the fence -------------------------------------------------------------------------------------------


def test_a_renewal_extends_the_lease_and_returns_what_users_have_asked(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit()
    claimed = claim(seconds=30)
    for _ in range(3):
        advance_clock(25)
        with database.write() as session:
            assert leases.renew(session, claimed.lease, 30) == StopRequests(cancel=False, pause=False)
            assert attempt_outcomes.expire_leases(session) == []
    with database.write() as session:
        actions.cancel(session, job_id)
    with database.write() as session:
        assert leases.renew(session, claimed.lease, 30) == StopRequests(cancel=True, pause=False)


def test_an_attempt_that_lost_its_lease_cannot_write_anything(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit()
    old = claim("w1", seconds=30)
    advance_clock(31)
    with database.read() as session:
        assert attempt_outcomes.any_expired(session)
    assert expire_leases(database) == ["default"]
    with database.read() as session:
        assert not attempt_outcomes.any_expired(session)
    advance_clock(60)
    new = claim("w2")
    assert new.lease == Lease(job_id, 2, "w2")
    before = get_job(database, job_id)

    with database.write() as session:
        assert leases.renew(session, old.lease, 30) is None
        assert not attempt_outcomes.finish(session, old.lease, Reason.COMPLETED, "late")
        assert not attempt_outcomes.requeue(session, old.lease, "late")
        assert not attempt_outcomes.fail_attempt(session, old.lease, AttemptFailure("late"))
    with pytest.raises(LeaseLost):
        record_epoch(database, old.lease)
    for number in (1, 99):
        with pytest.raises(LeaseLost), database.write() as session:
            leases.begin_write(session, old.lease, number)

    after = get_job(database, job_id)
    assert (after.state, after.attempt, after.version) == (JobState.RUNNING, 2, before.version)
    assert finish(database, new.lease)


def test_an_older_attempt_of_the_same_worker_is_refused(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    submit()
    old = claim("w1", seconds=1)
    advance_clock(2)
    expire_leases(database)
    advance_clock(60)
    claim("w1")
    assert not finish(database, old.lease)


# --- Writes that must not be done twice -------------------------------------------------------------------------------


def test_a_write_that_must_be_done_once_locks_and_reads_the_row_in_one_statement(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    lease = claim().lease
    statements: list[str] = []

    def note(
        _connection: Connection, _cursor: object, statement: str, _parameters: object, _context: object, _many: bool
    ) -> None:
        if "jobs" in statement:
            statements.append(statement)

    event.listen(database._engine, "before_cursor_execute", note)
    with database.write() as session:
        job = leases.begin_write(session, lease, 1)
        assert job is not None
        assert (job.id, job.state, job.epochs, job.last_write) == (job_id, JobState.RUNNING, 5, 1)
        assert len(statements) == 1
        assert statements[0].startswith("UPDATE jobs SET last_write=")
        recording.record_phase(session, job, Phase.BUILDING)
    event.remove(database._engine, "before_cursor_execute", note)


def test_a_write_that_must_be_done_once_does_nothing_the_second_time(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    lease = claim().lease

    def write(number: int) -> bool:
        with database.write() as session:
            job = leases.begin_write(session, lease, number)
            if job is not None:
                recording.record_phase(session, job, Phase.BUILDING)
            return job is not None

    assert write(1)
    before = get_job(database, job_id)
    assert not write(1)
    assert get_job(database, job_id).version == before.version
    with database.read() as session:
        query = select(func.count()).where(Event.job_id == job_id, Event.kind == EventKind.PHASE_CHANGED)
        assert session.scalar(query) == 1
    assert write(2)
    assert not write(1)


def test_each_attempt_counts_its_writes_from_one(database: Database, submit: Submit, claim: Claim) -> None:
    submit()
    first = claim().lease
    with database.write() as session:
        assert leases.begin_write(session, first, 7)
    requeue(database, first)
    second = claim().lease
    with database.write() as session:
        assert leases.begin_write(session, second, 1)
