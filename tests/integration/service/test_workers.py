from typing import Any

from flask.testing import FlaskClient

from fitqueue.views import Page, WorkerView
from service.db import Database
from service.store import workers
from service.store.gpus import MeasuredGPU
from service.store.leases import Lease


def test_workers_are_listed_with_their_jobs(http: FlaskClient, database: Database, lease: Lease) -> None:
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=["CPU"], gpus=[])
    answer: Any = http.get("/api/v1/workers").json
    assert [(row["id"], row["alive"], row["jobs"]) for row in answer["data"]] == [("w1", True, [lease.job_id])]
    [row] = answer["data"]
    assert (row["versions"], row["gpu_use"], row["gpus_held_by"]) == ({}, [], {}), "on a machine without GPUs"


def test_workers_tell_their_versions_and_the_use_of_their_gpus(http: FlaskClient, database: Database) -> None:
    known, unknown = MeasuredGPU("GPU-a", "H100", 97, 40 * 2**30, 80 * 2**30), MeasuredGPU("MIG-b", "H100 MIG")
    with database.write() as session:
        workers.register(
            session, "w1", host="h", pools=["default"], slots=1, devices=["H100", "H100 MIG"],
            gpus=["GPU-a", "MIG-b"], gpu_use=[known, unknown], versions={"fitqueue": "0.1.0", "keras": "3.15.1"},
        )  # fmt: skip
    page = Page[WorkerView].model_validate_json(http.get("/api/v1/workers").data)
    [worker] = page.data
    assert worker.versions == {"fitqueue": "0.1.0", "keras": "3.15.1"}
    assert [MeasuredGPU(**gpu.model_dump(exclude={"measured_at"})) for gpu in worker.gpu_use] == [known, unknown]
    assert {gpu.measured_at for gpu in worker.gpu_use} == {worker.last_seen_at}
