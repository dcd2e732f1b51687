"""Attempts that are lost: once is forgiven, twice at the same place is the job's doing, the third time ends it."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.models import Event, Job
from service.store import actions, jobs, leases, snapshots
from service.store.leases import ClaimedJob, Lease
from service.store.snapshots import SnapshotRecord

Submit = Callable[..., str]
Claim = Callable[..., ClaimedJob | None]
Take = Callable[..., ClaimedJob]
Later = Callable[[float], None]
Again = Callable[[], ClaimedJob]

WHY = "The training process was killed (SIGKILL)"
DETAILS = "last line but one\nlast line"


@pytest.fixture
def again(take: Take, later: Later) -> Again:
    """A claim when whatever backing off is over."""

    def again() -> ClaimedJob:
        later(leases.LONGEST_BACKOFF_SECONDS)
        return take()

    return again


def fail_attempt(database: Database, lease: Lease, verdict: Reason | None = None, details: str = "") -> Job:
    """The job afterwards."""
    with database.write() as session:
        assert leases.fail_attempt(session, lease, WHY, verdict, details)
    with database.read() as session:
        return jobs.get(session, lease.job_id)


def requeue(database: Database, lease: Lease) -> Job:
    with database.write() as session:
        assert leases.requeue(session, lease, "The worker was shut down.")
    with database.read() as session:
        return jobs.get(session, lease.job_id)


def take_snapshot(database: Database, lease: Lease, epoch: int, step: int = 0) -> None:
    record = SnapshotRecord(f"snapshots/{lease.job_id}/{lease.attempt}-{epoch}-{step}", epoch, step, 10, "0" * 64)
    with database.write() as session:
        snapshots.record(session, lease, record)


def last_event(database: Database, job_id: str) -> tuple[EventKind, str]:
    with database.read() as session:
        row = session.execute(
            select(Event.kind, Event.message).where(Event.job_id == job_id).order_by(Event.id.desc()).limit(1)
        ).one()
    return row.kind, row.message


VERDICTS = [Reason.OUT_OF_MEMORY, Reason.INTERNAL_ERROR, Reason.STORAGE_FAILED]


@pytest.mark.parametrize("verdict", [None, *VERDICTS])
def test_the_first_loss_is_forgiven(verdict: Reason | None, database: Database, submit: Submit, again: Again) -> None:
    job_id = submit()
    claimed = again()
    assert claimed.stalled_attempts == 0
    job = fail_attempt(database, claimed.lease, verdict, DETAILS)
    assert (job.state, job.reason, job.failed_attempts, job.stalled_attempts) == (JobState.QUEUED, None, 1, 1)
    assert (job.worker_id, job.lease_expires_at, job.phase) == (None, None, None)
    assert last_event(database, job_id) == (EventKind.REQUEUED, f"{WHY}; the job waits again.\n{DETAILS}")
    assert again().stalled_attempts == 1


@pytest.mark.parametrize("verdict", [Reason.STORAGE_FAILED, Reason.INVALID_DATA, Reason.INVALID_MODEL])
def test_a_full_disk_and_a_network_have_time_to_be_mended(
    verdict: Reason, database: Database, submit: Submit, claim: Claim, later: Later
) -> None:
    submit()
    first = claim()
    assert first is not None
    fail_attempt(database, first.lease, verdict)
    later(leases.STORE_BACKOFF_SECONDS - 1)
    assert claim() is None
    later(1)
    assert claim() is not None


def test_a_job_that_is_lost_again_at_the_same_place_is_backing_off(
    database: Database, submit: Submit, claim: Claim, again: Again, later: Later
) -> None:
    submit(max_attempts=20)
    fail_attempt(database, again().lease)
    fail_attempt(database, again().lease)
    assert claim() is None
    later(leases.backoff_seconds(2))
    claimed = claim()
    assert claimed is not None
    assert claimed.lease.attempt == 3


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("place", [None, (0, 7), (3, 0), (3, 7)], ids=str)
def test_the_second_loss_at_the_same_place_ends_the_job_as_its_own_doing(
    place: tuple[int, int] | None, verdict: Reason, database: Database, submit: Submit, again: Again
) -> None:
    submit()
    claimed = again()
    if place is not None:
        take_snapshot(database, claimed.lease, *place)
    assert fail_attempt(database, claimed.lease, verdict).state is JobState.QUEUED
    job = fail_attempt(database, again().lease, verdict, DETAILS)
    assert (job.state, job.reason) == (JobState.FAILED, verdict)
    assert job.message == f"{WHY}; this was attempt 2 in a row that ended at the same place.\n{DETAILS}"
    assert last_event(database, job.id) == (EventKind.FAILED, job.message)


@pytest.mark.parametrize("first", [None, Reason.OUT_OF_MEMORY])
def test_what_the_second_died_of_counts(first: Reason | None, database: Database, submit: Submit, again: Again) -> None:
    submit()
    fail_attempt(database, again().lease, first)
    job = fail_attempt(database, again().lease, Reason.INTERNAL_ERROR)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.INTERNAL_ERROR)


def test_two_losses_without_a_verdict_are_nobodys_doing(database: Database, submit: Submit, again: Again) -> None:
    submit()
    fail_attempt(database, again().lease, Reason.INTERNAL_ERROR)
    job = fail_attempt(database, again().lease)
    assert (job.state, job.failed_attempts, job.stalled_attempts) == (JobState.QUEUED, 2, 2)
    assert again().stalled_attempts == 2, "the worker passes over the newest snapshot by this"


@pytest.mark.parametrize("verdict", [None, *VERDICTS])
@pytest.mark.parametrize(("first", "then"), [((0, 3), (0, 4)), ((1, 0), (1, 1)), ((1, 9), (2, 0))], ids=str)
def test_a_snapshot_in_between_is_progress(
    first: tuple[int, int],
    then: tuple[int, int],
    verdict: Reason | None,
    database: Database,
    submit: Submit,
    again: Again,
) -> None:
    submit(max_attempts=20)
    claimed = again()
    take_snapshot(database, claimed.lease, *first)
    fail_attempt(database, claimed.lease, verdict)
    for step in range(5):
        claimed = again()
        take_snapshot(database, claimed.lease, then[0], then[1] + step)
        job = fail_attempt(database, claimed.lease, verdict)
        assert (job.state, job.stalled_attempts) == (JobState.QUEUED, 1)


def test_an_older_place_is_no_progress(database: Database, submit: Submit, again: Again) -> None:
    """An attempt that began from an older snapshot, and trained what was trained before."""
    submit()
    claimed = again()
    take_snapshot(database, claimed.lease, 2)
    fail_attempt(database, claimed.lease)
    claimed = again()
    take_snapshot(database, claimed.lease, 1)
    assert fail_attempt(database, claimed.lease).stalled_attempts == 2


def test_the_third_loss_at_the_same_place_is_no_progress(database: Database, submit: Submit, again: Again) -> None:
    job_id = submit(max_attempts=20)
    claimed = again()
    take_snapshot(database, claimed.lease, 1, 5)
    assert fail_attempt(database, claimed.lease).stalled_attempts == 1
    assert fail_attempt(database, again().lease).stalled_attempts == 2
    job = fail_attempt(database, again().lease, details=DETAILS)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.NO_PROGRESS)
    assert job.message == f"{WHY}; 3 attempts in a row ended at the same place.\n{DETAILS}"
    assert last_event(database, job_id)[0] is EventKind.FAILED


def test_silent_workers_count_as_losses_at_a_place(
    database: Database, submit: Submit, take: Take, later: Later
) -> None:
    job_id = submit(max_attempts=20)
    for _ in range(3):
        later(leases.LONGEST_BACKOFF_SECONDS)
        take(seconds=30)
        later(31)
        with database.write() as session:
            pools = leases.expire_leases(session)
    with database.read() as session:
        job = jobs.get(session, job_id)
    assert pools == []
    assert (job.state, job.reason) == (JobState.FAILED, Reason.NO_PROGRESS)


@pytest.mark.parametrize("verdict", [None, *VERDICTS])
def test_the_last_attempt_ends_as_it_died(
    verdict: Reason | None, database: Database, submit: Submit, again: Again
) -> None:
    submit(max_attempts=2)
    fail_attempt(database, again().lease, verdict)
    claimed = again()
    take_snapshot(database, claimed.lease, 1)
    job = fail_attempt(database, claimed.lease, verdict)
    assert (job.state, job.reason) == (JobState.FAILED, verdict or Reason.WORKER_LOST)
    assert job.message == f"{WHY}; this was the last of 2 attempts."


def test_a_job_with_one_attempt_is_forgiven_nothing(database: Database, submit: Submit, again: Again) -> None:
    submit(max_attempts=1)
    job = fail_attempt(database, again().lease, Reason.OUT_OF_MEMORY)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.OUT_OF_MEMORY)


def test_a_shutdown_counts_neither_for_nor_against(database: Database, submit: Submit, again: Again) -> None:
    submit(max_attempts=3)
    fail_attempt(database, again().lease)
    for _ in range(4):
        job = requeue(database, again().lease)
        assert (job.state, job.failed_attempts, job.stalled_attempts, job.not_before) == (JobState.QUEUED, 1, 1, None)
    assert fail_attempt(database, again().lease).stalled_attempts == 2
    assert requeue(database, again().lease).stalled_attempts == 2
    assert fail_attempt(database, again().lease).reason is Reason.WORKER_LOST


def test_a_pause_counts_neither_for_nor_against(database: Database, submit: Submit, again: Again) -> None:
    job_id = submit(max_attempts=3)
    fail_attempt(database, again().lease)
    claimed = again()
    with database.write() as session:
        actions.pause(session, job_id)
    job = requeue(database, claimed.lease)
    assert (job.state, job.failed_attempts, job.stalled_attempts) == (JobState.PAUSED, 1, 1)
    with database.write() as session:
        actions.resume(session, job_id)
    assert again().stalled_attempts == 1


def test_a_lost_job_that_was_cancelled_is_cancelled_whatever_it_died_of(
    database: Database, submit: Submit, again: Again
) -> None:
    job_id = submit(max_attempts=1)
    claimed = again()
    with database.write() as session:
        actions.cancel(session, job_id)
    job = fail_attempt(database, claimed.lease, Reason.OUT_OF_MEMORY)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


def test_who_has_lost_the_lease_can_lose_nothing(database: Database, submit: Submit, again: Again) -> None:
    job_id = submit()
    old = again().lease
    fail_attempt(database, old)
    again()
    with database.read() as session:
        before = jobs.version(session, job_id)
    for verdict in (None, Reason.INTERNAL_ERROR):
        with database.write() as session:
            assert not leases.fail_attempt(session, old, WHY, verdict)
    with database.read() as session:
        assert jobs.version(session, job_id) == before


def test_pools_with_work_are_those_where_a_job_could_be_taken_now(
    database: Database, submit: Submit, take: Take, later: Later
) -> None:
    def found() -> list[str]:
        with database.read() as session:
            return leases.pools_with_work(session)

    assert found() == []
    ids = {pool: submit(resources={"pool": pool}) for pool in ("z", "a", "paused", "cancelled", "backing-off")}
    submit(resources={"pool": "a"})
    submit(resources={"pool": "hungry", "gpus": 64})
    with database.write() as session:
        actions.pause(session, ids["paused"])
        actions.cancel(session, ids["cancelled"])
    for _ in range(2):
        later(leases.LONGEST_BACKOFF_SECONDS)
        fail_attempt(database, take(pools=("backing-off",)).lease)
    assert found() == ["a", "hungry", "z"]
    taken = [take(pools=("a",)), take(pools=("a",)), take(pools=("z",))]
    assert found() == ["hungry"]
    later(leases.backoff_seconds(2))
    assert found() == ["backing-off", "hungry"]
    requeue(database, taken[0].lease)
    with database.write() as session:
        actions.resume(session, ids["paused"])
    assert found() == ["a", "backing-off", "hungry", "paused"]
