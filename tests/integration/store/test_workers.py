import pytest

from fitqueue.errors import WorkerNotFound
from service.db import Database
from service.store import attempt_outcomes, jobs, leases, queue_position, workers
from service.store.gpus import MeasuredGPU
from service.store.leases import StopRequests
from service.store.workers import WorkerDetails
from tests.integration.fixture_types import AdvanceClock, Claim, RegisterWorker, Submit, TryClaim


def _register(database: Database, worker: str, slots: int = 1, devices: tuple[str, ...] = ()) -> None:
    with database.write() as session:
        workers.register(session, worker, host="h", pools=["default"], slots=slots, devices=devices, gpus=[])


def _list(database: Database) -> list[WorkerDetails]:
    with database.read() as session:
        return workers.list_all(session, 30)


def test_a_worker_is_alive_while_it_sends_heartbeats(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    for worker in ("w1", "w2"):
        _register(database, worker, slots=2, devices=("CPU",))
    job_id = submit()
    claim("w1")
    advance_clock(20)
    with database.write() as session:
        assert workers.heartbeat(session, "w1", devices=["CPU"], gpus=[])
        assert not workers.heartbeat(session, "w3", devices=[], gpus=[]), "it must register first"
        workers.sign_off(session, "w2")
    by_id = {details.worker.id: details for details in _list(database)}
    first, second = by_id["w1"], by_id["w2"]
    assert (first.is_alive, first.jobs) == (True, [job_id])
    assert (first.worker.devices, first.worker.slots) == (["CPU"], 2)
    assert (second.is_alive, second.jobs) == (False, [])
    advance_clock(31)
    assert not any(details.is_alive for details in _list(database))
    _register(database, "w2")
    assert [(details.worker.id, details.is_alive) for details in _list(database)] == [("w2", True), ("w1", False)]
    advance_clock(2 * 86400)
    _register(database, "w3")
    assert [details.worker.id for details in _list(database)] == ["w3"]


def test_each_heartbeat_tells_the_use_of_the_gpus_and_keeps_the_versions(
    database: Database, advance_clock: AdvanceClock
) -> None:
    with database.write() as session:
        workers.register(
            session, "w1", host="h", pools=["default"], slots=1, devices=["H100"], gpus=["GPU-a"],
            gpu_use=[MeasuredGPU("GPU-a", "H100", 10)], versions={"keras": "3.15.1"},
        )  # fmt: skip
    [before] = _list(database)
    advance_clock(10)
    with database.write() as session:
        use = [MeasuredGPU("GPU-a", "H100", 97, 40, 80)]
        assert workers.heartbeat(session, "w1", devices=["H100"], gpus=["GPU-a"], gpu_use=use)
    [after] = _list(database)
    assert after.worker.versions == {"keras": "3.15.1"}
    [told] = after.worker.gpu_use
    assert (told["utilization_percent"], told["memory_used_bytes"], told["memory_total_bytes"]) == (97, 40, 80)
    assert told["measured_at"] > before.worker.gpu_use[0]["measured_at"]
    with database.write() as session:
        assert workers.heartbeat(session, "w1", devices=["1 CPU"], gpus=[])
    assert [details.worker.gpu_use for details in _list(database)] == [[]], "the driver failed"


def test_the_holder_of_a_gpu_is_shown_by_each_worker_that_sees_it(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker
) -> None:
    register_worker("w1", gpus=["GPU-a", "GPU-b"])
    register_worker("w2", gpus=["GPU-b", "GPU-a"])
    register_worker("w3", gpus=["GPU-c"])
    job_id = submit(resources={"gpus": 1})
    [held] = claim("w1", gpus=["GPU-a", "GPU-b"]).gpus
    by_id = {details.worker.id: details for details in _list(database)}
    assert {worker: details.gpus_held_by for worker, details in by_id.items()} == {
        "w1": {held: job_id},
        "w2": {held: job_id},
        "w3": {},
    }
    assert {worker: details.gpus_held for worker, details in by_id.items()} == {"w1": [held], "w2": [], "w3": []}
    register_worker("w1", gpus=[])
    [first] = [details for details in _list(database) if details.worker.id == "w1"]
    assert first.gpus_held_by == {held: job_id}, "its job holds the GPU, although its driver does not show it any more"


def test_a_draining_worker_claims_nothing_and_requeues_its_jobs_when_the_time_is_over(
    database: Database,
    submit: Submit,
    claim: Claim,
    try_claim: TryClaim,
    register_worker: RegisterWorker,
    advance_clock: AdvanceClock,
) -> None:
    for worker in ("w1", "w2"):
        register_worker(worker)
    job_id, waiting = submit(), submit()
    lease = claim("w1").lease
    with database.write() as session:
        workers.drain(session, "w1", 60)
    assert try_claim("w1") is None
    advance_clock(20)
    for worker in ("w1", "w2"):
        with database.write() as session:
            assert workers.heartbeat(session, worker, devices=[], gpus=[]), "which changes nothing"
    assert try_claim("w1") is None
    with database.write() as session:
        assert leases.renew(session, lease, 120) == StopRequests()
    advance_clock(41)
    with database.write() as session:
        assert leases.renew(session, lease, 120) == StopRequests(drain=True)
        assert attempt_outcomes.requeue(session, lease, "The worker was drained.")
    assert {claim("w2").lease.job_id, claim("w2").lease.job_id} == {job_id, waiting}


def test_a_drain_without_an_end_lets_jobs_train_and_can_be_ended(
    database: Database, submit: Submit, claim: Claim, try_claim: TryClaim, register_worker: RegisterWorker
) -> None:
    register_worker("w1")
    submit()
    lease = claim("w1").lease
    waiting = submit()
    for seconds in (0, None):  # what was said last counts
        with database.write() as session:
            workers.drain(session, "w1", seconds)
    [details] = _list(database)
    assert (details.worker.draining_since is not None, details.worker.drains_until) == (True, None)
    with database.write() as session:
        assert leases.renew(session, lease, 30) == StopRequests()
    assert try_claim("w1") is None
    for _ in range(2):
        with database.write() as session:
            workers.end_drain(session, "w1")
    assert claim("w1").lease.job_id == waiting


def test_only_a_worker_that_runs_can_be_drained(database: Database) -> None:
    _register(database, "w1")
    with database.write() as session:
        workers.sign_off(session, "w1")
    for worker, words in [("w1", "has stopped"), ("w9", "not known")]:
        for act in (workers.drain, workers.end_drain):
            with database.write() as session, pytest.raises(WorkerNotFound, match=words):
                act(session, worker)


def test_jobs_do_not_wait_for_draining_workers(
    database: Database, submit: Submit, register_worker: RegisterWorker
) -> None:
    register_worker("w1")
    job_id = submit()
    with database.write() as session:
        workers.drain(session, "w1")
    with database.read() as session:
        waits = queue_position.read(session, [jobs.get(session, job_id)], 30)
    assert waits[job_id].waiting_for == "a worker that serves the pool 'default'; all that are alive are draining"
