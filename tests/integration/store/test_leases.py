import itertools
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.models import Epoch, Event, Job
from service.store import actions, jobs, leases, recording
from service.store.leases import ClaimedJob, Lease, LeaseLost
from service.store.recording import EpochRecord

Submit = Callable[..., str]
Claim = Callable[..., ClaimedJob | None]
Take = Callable[..., ClaimedJob]
Later = Callable[[float], None]


def _job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, job_id)


def _kinds(database: Database, job_id: str) -> list[EventKind]:
    with database.read() as session:
        return list(session.scalars(select(Event.kind).where(Event.job_id == job_id).order_by(Event.id)))


def _finish(database: Database, lease: Lease, reason: Reason = Reason.COMPLETED) -> bool:
    with database.write() as session:
        return leases.finish(session, lease, reason, "as told")


def test_a_claim_takes_the_highest_priority_then_the_oldest(submit: Submit, claim: Claim) -> None:
    first, urgent, second = submit(), submit(priority=5), submit()
    claimed = [claim(f"w{n}") for n in range(4)]
    assert [one and one.lease.job_id for one in claimed] == [urgent, first, second, None]


def test_a_claim_tells_all_that_a_worker_needs(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit(seed=7)
    claimed = take("w1")
    assert claimed.lease == Lease(job_id, 1, "w1")
    assert claimed.spec["seed"] == 7
    assert (claimed.dataset_key, claimed.seconds_used, claimed.pool, claimed.gpus) == (None, 0.0, "default", ())
    job = _job(database, job_id)
    assert (job.state, job.worker_id, job.attempt) == (JobState.RUNNING, "w1", 1)
    assert job.started_at is not None
    assert job.lease_expires_at is not None


def test_a_claim_keeps_to_its_pools_and_gpus(submit: Submit, claim: Claim, take: Take) -> None:
    large = submit(resources={"pool": "large"})
    hungry = submit(resources={"gpus": 2})
    assert claim(pools=("default",), gpus=["GPU-a"]) is None
    claimed = take(pools=("default", "large"), gpus=["GPU-a"])
    assert claimed.lease.job_id == large
    claimed = take(gpus=["GPU-a", "GPU-b"])
    assert claimed.lease.job_id == hungry
    assert claimed.gpus == ("GPU-a", "GPU-b")


def test_claims_at_the_same_moment_take_different_jobs(database: Database, submit: Submit) -> None:
    submitted = {submit() for _ in range(30)}
    taken: list[str] = []
    failures: list[BaseException] = []
    start = threading.Barrier(6)

    def work(worker: str) -> None:
        start.wait()
        try:
            while True:
                with database.write() as session:
                    claimed = leases.claim(session, worker, ["default"], [], 30)
                if claimed is None:
                    return
                taken.append(claimed.lease.job_id)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(taken) == 30
    assert set(taken) == submitted


def test_finish_ends_the_job_and_says_so_again(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    claimed = take()
    assert _finish(database, claimed.lease)
    assert _finish(database, claimed.lease), "the answer to the first commit may have been lost"
    job = _job(database, job_id)
    assert (job.state, job.reason, job.message) == (JobState.SUCCEEDED, Reason.COMPLETED, "as told")
    assert job.finished_at is not None
    assert (job.lease_expires_at, job.worker_id) == (None, "w1")
    assert _kinds(database, job_id) == [EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.SUCCEEDED]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_ends_a_job_in_its_state(database: Database, submit: Submit, take: Take, reason: Reason) -> None:
    job_id = submit()
    claimed = take()
    assert _finish(database, claimed.lease, reason)
    job = _job(database, job_id)
    assert job.reason is reason
    assert job.state.is_final


def test_a_renewal_keeps_the_lease_and_tells_the_wish(
    database: Database, submit: Submit, take: Take, later: Later
) -> None:
    job_id = submit()
    claimed = take(seconds=30)
    for _ in range(3):
        later(25)
        with database.write() as session:
            assert leases.renew(session, claimed.lease, 30) == leases.Renewal(
                cancel_requested=False, pause_requested=False
            )
            assert leases.expire_leases(session) == []
    with database.write() as session:
        actions.cancel(session, job_id)
    with database.write() as session:
        assert leases.renew(session, claimed.lease, 30) == leases.Renewal(cancel_requested=True, pause_requested=False)


def test_a_lost_lease_can_write_nothing(database: Database, submit: Submit, take: Take, later: Later) -> None:
    job_id = submit()
    old = take("w1", seconds=30)
    later(31)
    with database.write() as session:
        assert leases.expire_leases(session) == ["default"]
    later(60)
    new = take("w2")
    assert new.lease == Lease(job_id, 2, "w2")
    before = _job(database, job_id)

    with database.write() as session:
        assert leases.renew(session, old.lease, 30) is None
        assert not leases.finish(session, old.lease, Reason.COMPLETED, "late")
        assert not leases.requeue(session, old.lease, "late")
    record = EpochRecord(epoch=1, logs={"loss": 1.0}, learning_rate=0.1, next_learning_rate=0.1, seconds=1.0, steps=3)
    with pytest.raises(LeaseLost), database.write() as session:
        recording.record_epoch(session, old.lease, record)
    with pytest.raises(LeaseLost), database.write() as session:
        recording.record_log_lines(session, old.lease, [])

    after = _job(database, job_id)
    assert (after.state, after.attempt, after.version) == (JobState.RUNNING, 2, before.version)
    assert _finish(database, new.lease)


def test_the_same_worker_with_an_older_attempt_is_refused_too(
    database: Database, submit: Submit, take: Take, later: Later
) -> None:
    submit()
    old = take("w1", seconds=1)
    later(2)
    with database.write() as session:
        leases.expire_leases(session)
    later(60)
    take("w1")
    assert not _finish(database, old.lease)


def test_put_back_in_order_costs_no_attempt(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit(max_attempts=1)
    for _ in range(3):
        claimed = take()
        with database.write() as session:
            assert leases.requeue(session, claimed.lease, "The worker shuts down.")
    job = _job(database, job_id)
    assert (job.state, job.attempt, job.failed_attempts, job.worker_id) == (JobState.QUEUED, 3, 0, None)
    assert _kinds(database, job_id).count(EventKind.REQUEUED) == 3


def test_a_job_whose_workers_are_lost_fails_after_its_attempts(
    database: Database, submit: Submit, claim: Claim, take: Take, later: Later
) -> None:
    job_id = submit(max_attempts=3)
    for lost in itertools.count(1):
        claimed = take(seconds=30)
        assert claimed.seconds_used == pytest.approx(31 * (lost - 1), abs=5)
        later(31)
        with database.write() as session:
            pools = leases.expire_leases(session)
        job = _job(database, job_id)
        if job.state.is_final:
            break
        assert pools == ["default"]
        assert job.not_before is not None
        assert lost == 1 or claim() is None, "it is backing off"
        later(leases.backoff_seconds(lost))
    assert pools == []
    assert (lost, job.reason, job.state) == (3, Reason.WORKER_LOST, JobState.FAILED)
    assert job.message == "The worker w1 was silent for too long; this was the last of 3 attempts."


def test_backoff_grows_to_a_bound() -> None:
    waits = [leases.backoff_seconds(n) for n in range(1, 40)]
    assert waits[:4] == [0, 2, 4, 8]
    assert waits == sorted(waits)
    assert waits[-1] == leases.LONGEST_BACKOFF_SECONDS


def test_a_wish_to_cancel_outlives_the_worker(database: Database, submit: Submit, take: Take, later: Later) -> None:
    lost, shut_down = submit(), submit()
    take("w1", seconds=30)
    claimed = take("w2", seconds=90)
    with database.write() as session:
        actions.cancel(session, lost)
        actions.cancel(session, shut_down)
    with database.write() as session:
        assert leases.requeue(session, claimed.lease, "The worker shuts down.")
    later(31)
    with database.write() as session:
        assert leases.expire_leases(session) == []
    for job_id in (lost, shut_down):
        job = _job(database, job_id)
        assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


def record_of(epoch: int) -> EpochRecord:
    return EpochRecord(epoch=epoch, logs={"loss": 1.0}, learning_rate=0.1, next_learning_rate=0.1, seconds=1.0, steps=3)


@pytest.mark.parametrize(
    ("place", "left", "shown"), [((0, 0), [], (0, 0)), ((1, 0), [1], (1, 0)), ((1, 2), [1], (2, 2))]
)
def test_what_was_recorded_beyond_its_place_goes_when_training_begins(
    place: tuple[int, int],
    left: list[int],
    shown: tuple[int, int],
    database: Database,
    submit: Submit,
    take: Take,
) -> None:
    job_id = submit()
    claimed = take()
    with database.write() as session:
        for epoch in (1, 2):
            recording.record_epoch(session, claimed.lease, record_of(epoch))
        leases.requeue(session, claimed.lease, "The worker shuts down.")
    again = take()
    with database.write() as session:
        recording.begin(session, again.lease, *place)
    with database.read() as session:
        assert session.scalars(select(Epoch.epoch).where(Epoch.job_id == job_id)).all() == left
    job = _job(database, job_id)
    assert (job.epoch, job.step) == shown
