from service.db import Database
from service.store import workers
from service.store.workers import WorkerDetails
from tests.integration.fixture_types import AdvanceClock, Claim, Submit


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
