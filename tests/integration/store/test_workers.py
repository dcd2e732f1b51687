from service.db import Database
from service.store import workers
from service.store.gpus import MeasuredGPU
from service.store.workers import WorkerDetails
from tests.integration.fixture_types import AdvanceClock, Claim, RegisterWorker, Submit


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
