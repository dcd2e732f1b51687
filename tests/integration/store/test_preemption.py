"""Preemptible jobs make room for others, and only for these."""

import pytest

from fitqueue.roles import Role
from fitqueue.spec.parsing.change import parse_change
from fitqueue.states import EventKind, JobState
from service.db import Database
from service.models import ADMIN_ID, Job, User
from service.store import attempt_outcomes, job_changes, jobs, leases, preemption, queue_position, users, workers
from service.store.gpus import MeasuredGPU, VisibleGPU
from service.store.leases import Lease
from tests.integration.fixture_types import AdvanceClock, Claim, RegisterWorker, Submit, TryClaim
from tests.integration.store.operations import FOUR_GPUS, events_of, finish, get_job, requeue
from tests.integration.store.test_gpu_reservation import LONGER_THAN_THE_DELAY


def _request(database: Database) -> list[str]:
    with database.write() as session:
        return preemption.request(session, 30.0)


def _may_be_needed(database: Database) -> bool:
    with database.read() as session:
        return preemption.may_be_needed(session)


def _renew(database: Database, lease: Lease) -> leases.StopRequests | None:
    with database.write() as session:
        return leases.renew(session, lease, 30.0)


def _make_room(database: Database, lease: Lease) -> None:
    with database.write() as session:
        assert attempt_outcomes.requeue(session, lease, "The job made room.", preempted=True)


def test_a_preemptible_job_makes_room_and_comes_back(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker
) -> None:
    register_worker("w1", gpus=[])
    idle = submit(preemptible=True)
    lease = claim().lease
    assert _may_be_needed(database)
    assert _request(database) == []
    other = submit()
    assert _request(database) == [idle]
    assert _request(database) == [], "it was asked"
    assert not _may_be_needed(database)
    requests = _renew(database, lease)
    assert requests is not None
    assert requests.preempt
    _make_room(database, lease)
    job = get_job(database, idle)
    assert (job.state, job.failed_attempts, job.preempt_requested_at) == (JobState.QUEUED, 0, None)
    last = events_of(database, idle)[-1]
    assert (last.kind, last.data) == (EventKind.REQUEUED, {"preempted": True})
    claimed = claim().lease
    assert claimed.job_id == other
    assert finish(database, claimed)
    assert claim().lease.job_id == idle


def test_a_job_says_that_it_waits_because_it_made_room(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker
) -> None:
    def waiting_for() -> str:
        with database.read() as session:
            return queue_position.read_waits(session, [jobs.get(session, idle)], 30.0)[idle]

    register_worker("w1", gpus=[])
    idle = submit(preemptible=True)
    assert waiting_for() == "idle devices"
    _make_room(database, claim().lease)
    again = "idle devices again: it made room for another job, and goes on by itself"
    assert waiting_for() == again
    with database.write() as session:
        job_changes.change(session, idle, parse_change({"name": "new"}))
    assert waiting_for() == again, "a change is not why it waits"
    requeue(database, claim().lease)
    assert waiting_for() == "idle devices", "its worker was shut down"


@pytest.mark.parametrize(
    "why", ["free slot", "other worker", "preemptible", "not preemptible", "pool", "GPUs", "drains"]
)
def test_no_job_makes_room_in_vain(
    why: str, database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker
) -> None:
    with database.write() as session:
        slots = 2 if why == "free slot" else 1
        workers.register(session, "w1", host="h", pools=["default"], slots=slots, devices=[], gpus=[])
    submit(preemptible=why != "not preemptible")
    claim()
    if why == "other worker":
        register_worker("w2", gpus=[])
    if why == "drains":
        with database.write() as session:
            workers.drain(session, "w1")
    resources = {"pool": "other"} if why == "pool" else {"gpus": 1} if why == "GPUs" else {}
    submit(preemptible=why == "preemptible", resources=resources)
    assert _request(database) == []


def test_so_many_jobs_make_room_as_a_large_one_needs_and_others_do_not_take_it(
    database: Database, submit: Submit, try_claim: TryClaim, claim: Claim
) -> None:
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=4, devices=[], gpus=FOUR_GPUS)
    idle = [submit(preemptible=True, resources={"gpus": 1}) for _ in range(3)]
    held = [claim(gpus=FOUR_GPUS).lease for _ in idle]
    large = submit(resources={"gpus": 3})
    assert sorted(_request(database)) == sorted(idle[1:]), "those that were claimed last"
    _make_room(database, held[1])
    assert try_claim(gpus=FOUR_GPUS) is None, "the GPUs are for the large job"
    assert _request(database) == []
    _make_room(database, held[2])
    assert claim(gpus=FOUR_GPUS).lease.job_id == large
    assert get_job(database, idle[0]).state is JobState.RUNNING


def test_the_gpu_goes_to_the_job_that_needs_it_and_not_to_another_pool_of_the_machine(
    database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, register_worker: RegisterWorker
) -> None:
    register_worker("w1", gpus=["GPU-a"])
    register_worker("w2", ["other"], gpus=["GPU-a"])
    idle = submit(preemptible=True, resources={"gpus": 1, "pool": "other"})
    lease = claim("w2", ("other",), gpus=["GPU-a"]).lease
    needed = submit(resources={"gpus": 1})
    assert _request(database) == [idle]
    _make_room(database, lease)
    assert try_claim("w2", ("other",), gpus=["GPU-a"]) is None, "it would be asked to make room again"
    assert claim("w1", gpus=["GPU-a"]).lease.job_id == needed


def test_the_slot_stays_free_while_another_job_leaves_the_gpu(
    database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, register_worker: RegisterWorker
) -> None:
    register_worker("w1", gpus=["GPU-a"])
    register_worker("w2", ["other"], gpus=["GPU-a"])
    submit(preemptible=True, resources={"gpus": 1, "pool": "other"})
    with_gpu = claim("w2", ("other",), gpus=["GPU-a"]).lease
    submit(preemptible=True)
    in_slot = claim("w1", gpus=["GPU-a"]).lease
    needed = submit(resources={"gpus": 1})
    assert len(_request(database)) == 2
    _make_room(database, in_slot)
    assert try_claim("w1", gpus=["GPU-a"]) is None
    _make_room(database, with_gpu)
    assert claim("w1", gpus=["GPU-a"]).lease.job_id == needed


def test_jobs_that_fit_on_no_machine_hide_no_other_that_needs_room(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preemption, "MAX_WAITING", 2)
    register_worker("w1", gpus=["GPU-a"])
    idle = submit(preemptible=True)
    claim()
    for _ in range(3):
        submit(resources={"gpus": 2})
    assert _request(database) == []
    submit()
    assert _request(database) == [idle]


def test_no_job_gives_up_a_gpu_for_one_that_waits_behind_a_reservation(
    database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, advance_clock: AdvanceClock
) -> None:
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=9, devices=[], gpus=["GPU-a", "GPU-b"])
        other = users.create(session, "other", Role.MEMBER).id
    submit(resources={"gpus": 1})
    claim(gpus=["GPU-a", "GPU-b"])
    idle = submit(preemptible=True, resources={"gpus": 1})
    lease = claim(gpus=["GPU-a", "GPU-b"]).lease
    submit(resources={"gpus": 2})
    small = submit(resources={"gpus": 1})
    advance_clock(LONGER_THAN_THE_DELAY)
    with database.write() as session:
        assert workers.heartbeat(session, "w1", devices=[], gpus=["GPU-a", "GPU-b"])
    assert _request(database) == [], "the GPU would wait for the other one"
    with database.write() as session:
        session.get_one(Job, small).owner_id = other
    assert _request(database) == [idle], "it is the other user's turn"
    _make_room(database, lease)
    assert claim(gpus=["GPU-a", "GPU-b"]).lease.job_id == small


@pytest.mark.parametrize("gpus", [1, 2])
def test_no_job_makes_room_for_one_that_needs_a_gpu_that_another_program_uses(
    gpus: int, database: Database, submit: Submit, claim: Claim
) -> None:
    seen = [VisibleGPU("GPU-a"), VisibleGPU("GPU-b", is_used=True)]
    use = [MeasuredGPU("GPU-a", "H100", memory_used_bytes=2**34), MeasuredGPU("GPU-b", "H100", memory_used_bytes=2**34)]
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=9, devices=[], gpus=["GPU-a", "GPU-b"])
    idle = submit(preemptible=True, resources={"gpus": 1})
    with database.write() as session:
        assert leases.claim(session, "w1", ["default"], seen, 30.0) is not None
        assert workers.heartbeat(session, "w1", devices=[], gpus=["GPU-a", "GPU-b"], gpu_use=use)
    submit(resources={"gpus": gpus})
    assert _request(database) == ([idle] if gpus == 1 else [])


@pytest.mark.parametrize(
    ("limits", "expected"), [(None, 3), ({"gpus": 6}, 2), ({"running_jobs": 5}, 1), ({"gpus": 4}, 0)]
)
def test_no_job_makes_room_for_those_that_are_at_a_limit(
    limits: dict[str, int] | None, expected: int, database: Database, submit: Submit, claim: Claim
) -> None:
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=9, devices=[], gpus=FOUR_GPUS)
    idle = [submit(preemptible=True, resources={"gpus": 1}) for _ in range(3)]
    for _ in idle:
        claim(gpus=FOUR_GPUS)
    with database.write() as session:
        session.get_one(User, ADMIN_ID).limits = limits
    for _ in range(4):
        submit(resources={"gpus": 1})
    assert len(_request(database)) == expected, "one GPU is free"
