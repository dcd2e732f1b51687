"""GPUs are claimed with a job and released with its lease, and no two attempts hold the same one."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from fitqueue.states import EventKind, JobState
from service.db import Database
from service.models import Event, GPUClaim
from service.store import actions, attempt_outcomes, leases, workers
from service.store.gpus import VisibleGPU
from service.store.leases import ClaimedJob, Lease
from tests.integration.fixture_types import AdvanceClock, Claim, HeldGPUs, RegisterWorker, Submit, TryClaim
from tests.integration.store.operations import (
    FOUR_GPUS,
    KILLED,
    events_of,
    expire_leases,
    fail_attempt,
    finish,
    get_job,
    requeue,
)
from tests.waiting import until

# --- Held and released ------------------------------------------------------------------------------------------------


def test_the_workers_of_a_machine_share_its_gpus(
    submit: Submit, claim: Claim, try_claim: TryClaim, held_gpus: HeldGPUs
) -> None:
    first, second, two_gpus, last = (submit(resources={"gpus": count}) for count in (1, 1, 2, 1))
    claimed = [claim(f"w{n}", gpus=FOUR_GPUS).gpus for n in range(3)]
    assert claimed == [("GPU-a",), ("GPU-b",), ("GPU-c", "GPU-d")]
    assert held_gpus() == {"GPU-a": first, "GPU-b": second, "GPU-c": two_gpus, "GPU-d": two_gpus}
    assert try_claim("w3", gpus=FOUR_GPUS) is None
    without_gpus = submit()
    assert claim("w3", gpus=FOUR_GPUS).lease.job_id == without_gpus, "a job without GPUs needs none"
    assert claim("w4", gpus=["GPU-e"]).lease.job_id == last, "another machine has another GPU"


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_claim_returns_holds_and_reports_the_same_gpus(
    count: int, submit: Submit, claim: Claim, database: Database, held_gpus: HeldGPUs
) -> None:
    """The worker sees four GPUs, and a job gets no more than it asks for, wherever its GPUs are written down."""
    job_id = submit(resources={"gpus": count})
    claimed = claim(gpus=FOUR_GPUS)
    [claim_event] = [event for event in events_of(database, job_id) if event.kind is EventKind.CLAIMED]
    assert claimed.gpus == FOUR_GPUS[:count]
    assert claim_event.data == {"worker": "w1", "gpus": list(FOUR_GPUS[:count])}
    assert held_gpus() == dict.fromkeys(FOUR_GPUS[:count], job_id)


def _requeue(database: Database, lease: Lease, _advance_clock: AdvanceClock) -> None:
    requeue(database, lease)


def _pause(database: Database, lease: Lease, _advance_clock: AdvanceClock) -> None:
    with database.write() as session:
        actions.pause(session, lease.job_id)
    requeue(database, lease)


def _cancel(database: Database, lease: Lease, _advance_clock: AdvanceClock) -> None:
    with database.write() as session:
        actions.cancel(session, lease.job_id)
    requeue(database, lease)


def _fail(database: Database, lease: Lease, _advance_clock: AdvanceClock) -> None:
    fail_attempt(database, lease)


def _finish(database: Database, lease: Lease, _advance_clock: AdvanceClock) -> None:
    assert finish(database, lease)


def _expire(database: Database, _lease: Lease, advance_clock: AdvanceClock) -> None:
    advance_clock(31)
    expire_leases(database)


@pytest.mark.parametrize(
    ("end_attempt", "state"),
    [
        (_requeue, JobState.QUEUED),
        (_pause, JobState.PAUSED),
        (_cancel, JobState.CANCELLED),
        (_fail, JobState.QUEUED),
        (_finish, JobState.SUCCEEDED),
        (_expire, JobState.QUEUED),
    ],
)
def test_however_an_attempt_ends_its_gpus_are_released(
    end_attempt: Callable[[Database, Lease, AdvanceClock], None], state: JobState, submit: Submit, claim: Claim,
    advance_clock: AdvanceClock, database: Database, held_gpus: HeldGPUs,
) -> None:  # fmt: skip
    job_id = submit(resources={"gpus": 2})
    claimed = claim(gpus=FOUR_GPUS)
    assert set(held_gpus().values()) == {job_id}
    end_attempt(database, claimed.lease, advance_clock)
    assert held_gpus() == {}
    assert get_job(database, job_id).state is state


def test_an_attempt_without_the_lease_cannot_release_the_gpus_of_the_next(
    submit: Submit, claim: Claim, database: Database, advance_clock: AdvanceClock, held_gpus: HeldGPUs
) -> None:
    job_id = submit(resources={"gpus": 1})
    old = claim(gpus=["GPU-a"]).lease
    _expire(database, old, advance_clock)
    claim("w2", gpus=["GPU-b"])
    with database.write() as session:
        assert not attempt_outcomes.requeue(session, old, "late")
        assert not attempt_outcomes.fail_attempt(session, old, KILLED)
    assert not finish(database, old)
    assert held_gpus() == {"GPU-b": job_id}


def test_gpus_that_other_programs_use_are_not_claimed(submit: Submit, database: Database) -> None:
    def claim(*used: str) -> ClaimedJob | None:
        with database.write() as session:
            visible = [VisibleGPU(uuid, is_used=uuid in used) for uuid in FOUR_GPUS]
            return leases.claim(session, "w1", ["default"], visible, 30)

    submit(resources={"gpus": 2})
    submit(resources={"gpus": 2})
    assert claim("GPU-a", "GPU-b", "GPU-d") is None
    first = claim("GPU-b", "GPU-d")
    assert first is not None
    assert first.gpus == ("GPU-a", "GPU-c")
    second = claim("GPU-a", "GPU-c")
    assert second is not None, "GPUs that a job uses are not used by another program"
    assert second.gpus == ("GPU-b", "GPU-d")


def test_workers_are_listed_with_the_gpus_that_their_jobs_hold(
    submit: Submit, claim: Claim, register_worker: RegisterWorker, database: Database
) -> None:
    register_worker("w1")
    register_worker("w2")
    submit(resources={"gpus": 2})
    claim("w2", gpus=FOUR_GPUS)
    with database.read() as session:
        by_id = {details.worker.id: details for details in workers.list_all(session, 30)}
    assert {worker: details.gpus_held for worker, details in by_id.items()} == {"w1": [], "w2": ["GPU-a", "GPU-b"]}
    assert by_id["w1"].worker.gpu_uuids == list(FOUR_GPUS)


# --- Concurrent claims ------------------------------------------------------------------------------------------------


def test_the_database_refuses_a_second_holder_of_a_gpu(submit: Submit, claim: Claim, database: Database) -> None:
    submit(resources={"gpus": 1})
    submit()
    holder, other = claim(gpus=["GPU-a"]).lease, claim().lease
    with database.read() as session:
        row = session.execute(select(GPUClaim.__table__)).mappings().one()
    assert row["job_id"] == holder.job_id
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(insert(GPUClaim), [{**row, "job_id": other.job_id}])


@pytest.mark.parametrize("first_succeeds", [True, False])
def test_claims_for_the_same_gpus_go_one_after_another(
    first_succeeds: bool, submit: Submit, database: Database, held_gpus: HeldGPUs
) -> None:
    """A claim that is not committed yet keeps its job and its GPUs from others, and if it fails, it has had neither."""
    older, younger = submit(resources={"gpus": 1}), submit(resources={"gpus": 1})
    visible = [VisibleGPU("GPU-a"), VisibleGPU("GPU-b")]

    def claim(worker: str) -> None:
        with database.write() as session:
            assert leases.claim(session, worker, ["default"], visible, 30) is not None

    second = threading.Thread(target=claim, args=("w2",))
    with database.write() as session:
        leases.claim(session, "w1", ["default"], visible, 30)
        second.start()
        if database._engine.dialect.name != "sqlite":
            until(lambda: a_claim_waits(database), 60, "the second claim waits for the first one")
        if not first_succeeds:
            session.rollback()
    second.join()
    assert held_gpus() == ({"GPU-a": older, "GPU-b": younger} if first_succeeds else {"GPU-a": older})


def a_claim_waits(database: Database) -> bool:
    """Tell whether a transaction of this database waits for an advisory lock; other tests share the server."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = "
    with database.read() as session:
        this_one = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        return bool(session.execute(text(waiting + this_one)).scalar_one())


def test_many_workers_never_hold_the_same_gpu(submit: Submit, database: Database) -> None:
    """Eight workers of a machine with four GPUs claim and finish sixty jobs with one to four GPUs."""
    for n in range(60):
        submit(resources={"gpus": n % 4 + 1})
    visible, lock = [VisibleGPU(uuid) for uuid in FOUR_GPUS], threading.Lock()
    in_use: set[str] = set()
    held_twice: list[set[str]] = []

    def work(worker: str) -> None:
        while True:
            with database.write() as session:
                claimed = leases.claim(session, worker, ["default"], visible, 30)
            if claimed is None:
                with database.read() as session:
                    if not leases.pools_with_work(session):
                        return
                continue
            with lock:
                if shared := in_use.intersection(claimed.gpus):
                    held_twice.append(shared)
                in_use.update(claimed.gpus)
            with lock:
                in_use.difference_update(claimed.gpus)
            finish(database, claimed.lease)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held_twice == []
    with database.read() as session:
        assert session.scalars(select(GPUClaim)).all() == []
        kinds = session.scalars(select(Event.kind)).all()
    assert kinds.count(EventKind.SUCCEEDED) == 60
