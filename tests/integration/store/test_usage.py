"""What attempts used: stored by their leases alone, summed over attempts, and counted once in their pool."""

from collections.abc import Callable

import pytest

from fitqueue.states import Reason
from service import clock
from service.db import Database
from service.job_limits import DEFAULT_LIMITS
from service.store import actions, leases, recording, usage
from service.store.leases import Lease
from service.store.usage import MeasuredUse, PoolUse, StoredBytes, Use
from tests.integration.fixture_types import AdvanceClock, Claim, Perform, Submit
from tests.integration.store.operations import (
    FOUR_GPUS,
    expire_leases,
    fail_attempt,
    finish,
    get_job,
    record_snapshot,
    requeue,
    train_epoch,
)
from tests.reports import artifact_written, checkpoint_written

Uses = Callable[[], tuple[Use, Use]]


@pytest.fixture
def lease(submit: Submit, claim: Claim, advance_clock: AdvanceClock) -> Lease:
    """The lease of a job that has trained on two GPUs for a hundred seconds."""
    advance_clock(0)
    submit(resources={"gpus": 2})
    lease = claim(gpus=FOUR_GPUS, seconds=30.0).lease
    advance_clock(100)
    return lease


@pytest.fixture
def uses(database: Database, lease: Lease) -> Uses:
    """A function that returns what the running or last attempt at the job used, and what all of them used."""

    def read() -> tuple[Use, Use]:
        job = get_job(database, lease.job_id)
        with database.read() as session:
            now = clock.now(session)
        return usage.of_attempt(job, now), usage.of_all_attempts(job, now)

    return read


def renew(database: Database, lease: Lease, measured: MeasuredUse) -> bool:
    with database.write() as session:
        return leases.renew(session, lease, 30.0, measured) is not None


def by_pool(database: Database) -> dict[str, PoolUse]:
    with database.read() as session:
        return usage.by_pool(session)


def about(seconds: float) -> float:
    return pytest.approx(seconds, abs=30)  # type: ignore[return-value] # the real clock runs, too


def test_a_renewal_stores_what_was_measured(database: Database, lease: Lease, uses: Uses) -> None:
    assert renew(database, lease, MeasuredUse(12.5, 3_000_000_000, 7_000_000_000))
    attempt, total = uses()
    assert attempt.measured == total.measured == MeasuredUse(12.5, 3_000_000_000, 7_000_000_000)
    assert (attempt.seconds, attempt.gpu_seconds) == (about(100), about(200))
    with database.write() as session:
        assert leases.renew(session, lease, 30.0), "before there is a process to measure"
    assert uses()[0].measured == attempt.measured


def test_an_attempt_without_its_lease_stores_nothing(database: Database, lease: Lease, uses: Uses) -> None:
    requeue(database, lease)
    assert not renew(database, lease, MeasuredUse(1.0, 2, 3))
    with database.write() as session:
        leases.record_use(session, lease, MeasuredUse(1.0, 2, 3))
    assert uses()[1].measured == MeasuredUse()


def test_attempts_are_summed_and_the_highest_peaks_kept(
    database: Database, lease: Lease, uses: Uses, claim: Claim, advance_clock: AdvanceClock
) -> None:
    renew(database, lease, MeasuredUse(10.0, 500, 90))
    requeue(database, lease)
    advance_clock(1000)  # in the queue, which uses nothing
    second = claim(gpus=FOUR_GPUS).lease
    assert uses()[0] == Use(about(0), about(0), MeasuredUse())
    renew(database, second, MeasuredUse(4.0, 700, 80))
    advance_clock(10)
    fail_attempt(database, second)
    attempt, total = uses()
    assert (attempt.seconds, total.seconds, total.gpu_seconds) == (about(10), about(110), about(220))
    assert (attempt.measured, total.measured) == (MeasuredUse(4.0, 700, 80), MeasuredUse(14.0, 700, 90))
    assert by_pool(database) == {"default": PoolUse(about(220), 14.0)}


def test_what_was_used_before_an_extension_counts(
    database: Database, lease: Lease, uses: Uses, claim: Claim, perform: Perform, advance_clock: AdvanceClock
) -> None:
    renew(database, lease, MeasuredUse(10.0, 500, 90))
    train_epoch(database, lease)
    assert finish(database, lease)
    perform("extend", lease.job_id)
    assert uses()[1].seconds == about(100)
    claim(gpus=FOUR_GPUS)
    advance_clock(50)
    attempt, total = uses()
    assert (attempt.seconds, total.seconds, total.measured.cpu_seconds) == (about(50), about(150), 10.0)


def test_what_a_lost_worker_has_stored_counts(database: Database, lease: Lease, uses: Uses) -> None:
    with database.write() as session:
        leases.record_use(session, lease, MeasuredUse(2.0, 5, 6))
    assert expire_leases(database) == ["default"]
    assert uses()[1].measured == MeasuredUse(2.0, 5, 6)
    assert by_pool(database) == {"default": PoolUse(about(200), 2.0)}


@pytest.mark.parametrize("end", [finish, requeue, fail_attempt])
def test_the_use_of_a_pool_is_the_same_before_and_after_an_attempt_ends(
    database: Database, lease: Lease, end: Callable[[Database, Lease], object]
) -> None:
    renew(database, lease, MeasuredUse(3.0, 1, 1))
    running = by_pool(database)["default"]
    assert running == PoolUse(about(200), 3.0)
    end(database, lease)
    ended = by_pool(database)["default"]
    assert running.gpu_seconds <= ended.gpu_seconds == about(running.gpu_seconds)
    assert ended.cpu_seconds == 3.0
    if end is finish:
        assert finish(database, lease), "the answer may get lost"
    else:
        with database.write() as session:
            actions.cancel(session, lease.job_id)
    assert by_pool(database)["default"] == ended, "an attempt counts once"


def test_a_job_that_was_never_claimed_used_nothing(database: Database, submit: Submit) -> None:
    job_id = submit(resources={"pool": "unserved"})
    with database.write() as session:
        actions.cancel(session, job_id)
        job, now = get_job(database, job_id), clock.now(session)
    assert usage.of_attempt(job, now) == usage.of_all_attempts(job, now) == Use(0.0, 0.0, MeasuredUse())
    assert by_pool(database) == {}, "anybody may name a pool"


def test_a_stored_file_with_two_names_counts_once(database: Database, lease: Lease) -> None:
    def stored() -> StoredBytes:
        with database.read() as session:
            return usage.stored_bytes(session, lease.job_id)

    assert stored() == StoredBytes(0, 0, 0)
    with database.write() as session:
        job = leases.held_job(session, lease)
        for key, names in (("a", ["best", "last"]), ("b", ["e01"])):
            recording.record_checkpoint(session, job, checkpoint_written(names, size=100), key, DEFAULT_LIMITS)
        recording.record_artifact(session, job, artifact_written("log.csv"), "c")
    record_snapshot(database, lease, 1)
    assert stored() == StoredBytes(checkpoints=200, snapshots=10, artifacts=10)
    assert finish(database, lease, Reason.MAX_RUNTIME)
