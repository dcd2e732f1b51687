"""GPUs are claimed with a job and go with its lease; no two attempts hold one, and large jobs get their turn."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.models import Event, GPUClaim
from service.store import actions, gpu_reservation, gpus, jobs, leases, workers
from service.store.gpus import VisibleGPU
from service.store.leases import ClaimedJob, Lease

Submit = Callable[..., str]
Claim = Callable[..., ClaimedJob | None]
Take = Callable[..., ClaimedJob]
Later = Callable[[float], None]

FOUR = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")
TIRED = gpu_reservation.RESERVATION_DELAY.total_seconds() + 1


@pytest.fixture
def register(database: Database) -> Callable[..., None]:
    def register(worker: str, pools: Sequence[str] = ("default",), gpus: Sequence[str] = FOUR) -> None:
        with database.write() as session:
            workers.register(session, worker, host="h", pools=pools, slots=1, devices=[], gpus=gpus)

    return register


@pytest.fixture
def held(database: Database) -> Callable[[], dict[str, str]]:
    """By GPU, the job that holds it."""

    def held() -> dict[str, str]:
        with database.read() as session:
            return {row.gpu_uuid: row.job_id for row in session.scalars(select(GPUClaim))}

    return held


# --- Held and let go -------------------------------------------------------------------------------------------------


def test_workers_of_one_machine_share_its_gpus(
    submit: Submit, take: Take, claim: Claim, held: Callable[[], dict[str, str]]
) -> None:
    one, other, two, last = (submit(resources={"gpus": count}) for count in (1, 1, 2, 1))
    given = [take(f"w{n}", gpus=FOUR).gpus for n in range(3)]
    assert given == [("GPU-a",), ("GPU-b",), ("GPU-c", "GPU-d")]
    assert held() == {"GPU-a": one, "GPU-b": other, "GPU-c": two, "GPU-d": two}
    assert claim("w3", gpus=FOUR) is None
    cpu = submit()
    assert take("w3", gpus=FOUR).lease.job_id == cpu, "a job without GPUs needs none"
    assert take("w4", gpus=["GPU-e"]).lease.job_id == last, "another machine has another one"


def test_the_history_tells_which_gpus_an_attempt_had(submit: Submit, take: Take, database: Database) -> None:
    for count in (0, 2):
        submit(resources={"gpus": count})
        take(gpus=FOUR)
    with database.read() as session:
        claimed = session.scalars(select(Event).where(Event.kind == EventKind.CLAIMED).order_by(Event.id)).all()
    assert [event.data for event in claimed] == [
        {"worker": "w1", "gpus": []},
        {"worker": "w1", "gpus": ["GPU-a", "GPU-b"]},
    ]


def _requeue(database: Database, lease: Lease, later: Later) -> None:
    with database.write() as session:
        assert leases.requeue(session, lease, "shut down")


def _pause(database: Database, lease: Lease, later: Later) -> None:
    with database.write() as session:
        actions.pause(session, lease.job_id)
    _requeue(database, lease, later)


def _cancel(database: Database, lease: Lease, later: Later) -> None:
    with database.write() as session:
        actions.cancel(session, lease.job_id)
    _requeue(database, lease, later)


def _lose(database: Database, lease: Lease, later: Later) -> None:
    with database.write() as session:
        assert leases.fail_attempt(session, lease, "it died")


def _finish(database: Database, lease: Lease, later: Later) -> None:
    with database.write() as session:
        assert leases.finish(session, lease, Reason.COMPLETED, "done")


def _expire(database: Database, lease: Lease, later: Later) -> None:
    later(31)
    with database.write() as session:
        leases.expire_leases(session)


@pytest.mark.parametrize(
    ("leave", "state"),
    [
        (_requeue, JobState.QUEUED),
        (_pause, JobState.PAUSED),
        (_cancel, JobState.CANCELLED),
        (_lose, JobState.QUEUED),
        (_finish, JobState.SUCCEEDED),
        (_expire, JobState.QUEUED),
    ],
)
def test_however_a_job_leaves_its_worker_it_lets_go(
    leave: Callable[[Database, Lease, Later], None], state: JobState, submit: Submit, take: Take, later: Later,
    database: Database, held: Callable[[], dict[str, str]],
) -> None:  # fmt: skip
    job_id = submit(resources={"gpus": 2})
    claimed = take(gpus=FOUR)
    assert set(held().values()) == {job_id}
    leave(database, claimed.lease, later)
    assert held() == {}
    with database.read() as session:
        assert jobs.get(session, job_id).state is state


def test_who_lost_the_lease_takes_nothing_from_the_next(
    submit: Submit, take: Take, database: Database, later: Later, held: Callable[[], dict[str, str]]
) -> None:
    job_id = submit(resources={"gpus": 1})
    old = take(gpus=["GPU-a"]).lease
    _expire(database, old, later)
    take("w2", gpus=["GPU-b"])
    with database.write() as session:
        assert not leases.requeue(session, old, "late")
        assert not leases.fail_attempt(session, old, "late")
        assert not leases.finish(session, old, Reason.COMPLETED, "late")
    assert held() == {"GPU-b": job_id}


def test_what_is_used_outside_is_not_claimed(submit: Submit, database: Database) -> None:
    def claim(*used: str) -> ClaimedJob | None:
        with database.write() as session:
            seen = [VisibleGPU(uuid, is_used=uuid in used) for uuid in FOUR]
            return leases.claim(session, "w1", ["default"], seen, 30)

    submit(resources={"gpus": 2})
    submit(resources={"gpus": 2})
    assert claim("GPU-a", "GPU-b", "GPU-d") is None
    first = claim("GPU-b", "GPU-d")
    assert first is not None
    assert first.gpus == ("GPU-a", "GPU-c")
    second = claim("GPU-a", "GPU-c")
    assert second is not None, "what a job uses is not used by somebody outside"
    assert second.gpus == ("GPU-b", "GPU-d")


# --- Two at the same moment ------------------------------------------------------------------------------------------


def test_the_database_lets_nobody_hold_one_twice(submit: Submit, take: Take, database: Database) -> None:
    submit(resources={"gpus": 1})
    submit()
    lease, other = take(gpus=["GPU-a"]).lease, take().lease
    with database.read() as session:
        row = session.execute(select(GPUClaim.__table__)).mappings().one()
    assert row["job_id"] == lease.job_id
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(insert(GPUClaim), [{**row, "job_id": other.job_id}])


def test_who_comes_too_late_takes_another(
    submit: Submit, database: Database, monkeypatch: pytest.MonkeyPatch, held: Callable[[], dict[str, str]]
) -> None:
    """Between its look and its claim another worker takes what it has seen free."""
    first, second = submit(resources={"gpus": 1}), submit(resources={"gpus": 1})
    look, looks = gpus.look, []
    blind = gpus.Machine(seen=("GPU-a", "GPU-b"), free=("GPU-a", "GPU-b"))

    def looking(*arguments: object) -> gpus.Machine:
        looks.append(look(*arguments))  # type: ignore[arg-type]
        return blind if len(looks) == 2 else looks[-1]

    monkeypatch.setattr(gpus, "look", looking)
    for worker in ("w1", "w2"):
        with database.write() as session:
            claimed = leases.claim(session, worker, ["default"], [VisibleGPU("GPU-a"), VisibleGPU("GPU-b")], 30)
        assert claimed is not None
        assert claimed.lease.attempt == 1, "nothing is left of the claim that failed"
    assert len(looks) == 3
    assert held() == {"GPU-a": first, "GPU-b": second}
    with database.read() as session:
        assert session.execute(text("SELECT count(*) FROM events WHERE kind = 'claimed'")).scalar_one() == 2


def test_many_at_once_never_get_the_same(submit: Submit, database: Database) -> None:
    """Eight workers of a machine with four GPUs claim and finish sixty jobs of 1 to 4."""
    for n in range(60):
        submit(resources={"gpus": n % 4 + 1})
    seen, lock, errors = [VisibleGPU(uuid) for uuid in FOUR], threading.Lock(), []
    in_use: set[str] = set()

    def work(worker: str) -> None:
        while True:
            with database.write() as session:
                claimed = leases.claim(session, worker, ["default"], seen, 30)
            if claimed is None:
                with database.read() as session:
                    if not leases.pools_with_work(session):
                        return
                continue
            with lock:
                if twice := in_use.intersection(claimed.gpus):
                    errors.append(twice)
                in_use.update(claimed.gpus)
            with lock:
                in_use.difference_update(claimed.gpus)
            with database.write() as session:
                leases.finish(session, claimed.lease, Reason.COMPLETED, "done")

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.read() as session:
        assert session.scalars(select(GPUClaim)).all() == []
        events = session.scalars(select(Event).order_by(Event.id)).all()
    assert sum(event.kind is EventKind.SUCCEEDED for event in events) == 60


# --- Whose turn it is ------------------------------------------------------------------------------------------------


def test_a_large_job_lets_small_ones_go_first_for_a_while(
    submit: Submit, claim: Claim, take: Take, later: Later, database: Database, register: Callable[..., None]
) -> None:
    submit(resources={"gpus": 1})
    running = take(gpus=FOUR).lease
    large, small = submit(resources={"gpus": 4}), submit(resources={"gpus": 1})
    register("w1")
    assert take(gpus=FOUR, seconds=600).lease.job_id == small
    waiting, cpu = submit(resources={"gpus": 1}), submit()
    later(TIRED)
    register("w1")
    assert take(gpus=FOUR).lease.job_id == cpu, "a job without GPUs takes none from it"
    assert claim(gpus=FOUR) is None, "the two that are free are kept for the large one"
    urgent = submit(resources={"gpus": 1}, priority=1)
    assert take(gpus=FOUR, seconds=600).lease.job_id == urgent, "what stands before it is not held up"
    with database.write() as session:
        for job_id in (running.job_id, small, urgent):
            job = jobs.get(session, job_id)
            leases.finish(session, Lease(job.id, job.attempt, "w1"), Reason.COMPLETED, "done")
    assert take(gpus=FOUR).lease.job_id == large
    assert claim(gpus=FOUR) is None
    with database.read() as session:
        assert jobs.get(session, waiting).state is JobState.QUEUED


@pytest.mark.parametrize("reason", ["too_large", "used_outside", "elsewhere", "backing_off"])
def test_nothing_is_kept_for_a_job_that_cannot_start_here(
    reason: str, submit: Submit, take: Take, later: Later, register: Callable[..., None], database: Database
) -> None:
    submit(resources={"gpus": 1})
    take(gpus=FOUR, seconds=600)
    pool = "elsewhere" if reason == "elsewhere" else "default"
    large = submit(resources={"gpus": 5 if reason == "too_large" else 4, "pool": pool})
    later(TIRED)
    small = submit(resources={"gpus": 1})
    register("w1")
    register("w2", ["elsewhere"], ["GPU-w", "GPU-x", "GPU-y", "GPU-z"])
    with database.write() as session:
        if reason == "backing_off":
            job = jobs.get(session, large)
            job.not_before = job.created_at + timedelta(hours=1)
    with database.write() as session:
        seen = [VisibleGPU(uuid, is_used=reason == "used_outside" and uuid == "GPU-d") for uuid in FOUR]
        claimed = leases.claim(session, "w1", ["default"], seen, 30)
    assert claimed is not None
    assert claimed.lease.job_id == small


def test_workers_of_other_pools_keep_their_machines_gpus_for_it_too(
    submit: Submit, take: Take, claim: Claim, later: Later, register: Callable[..., None]
) -> None:
    submit(resources={"gpus": 1})
    take(gpus=FOUR, seconds=600)
    submit(resources={"gpus": 4, "pool": "large"})
    later(TIRED)
    submit(resources={"gpus": 1})
    register("w1", ["default"])
    register("w2", ["large"])
    assert claim("w1", gpus=FOUR) is None
    later(31)  # w2 is gone, and nobody else here serves its pool
    register("w1", ["default"])
    assert claim("w1", gpus=FOUR) is not None


def test_workers_tell_what_they_hold(
    submit: Submit, take: Take, register: Callable[..., None], database: Database
) -> None:
    register("w1")
    register("w2")
    submit(resources={"gpus": 2})
    take("w2", gpus=FOUR)
    with database.read() as session:
        views = {view.id: view for view in workers.list_all(session, 30)}
    assert {view.id: view.gpus_held for view in views.values()} == {"w1": [], "w2": ["GPU-a", "GPU-b"]}
    assert views["w1"].gpus == list(FOUR)
