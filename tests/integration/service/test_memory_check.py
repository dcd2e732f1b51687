"""A POST is compared with the memory of the live workers of its pool."""

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.views import MemoryEstimate, ModelSummary
from service.api.context import EXTENSION, Services
from service.db import Database
from service.store import workers

RawSpec = dict[str, Any]

GIB = 2**30
MEMORY = MemoryEstimate(weights=4 * GIB, gradients=0, optimizer=0, activations=3 * GIB, data=GIB, total=8 * GIB)


class EightGiB:
    """A checker that finds that each job takes 8 GiB, of which 1 GiB is data."""

    def check(self, request: ModelCheckRequest) -> ModelCheckResult:
        summary = ModelSummary(layers=[], parameters=1, trainable_parameters=1, memory=MEMORY)
        return ModelCheckResult(summary=summary)


@pytest.fixture(autouse=True)
def checker(app: Flask, services: Services) -> None:
    app.extensions[EXTENSION] = replace(services, checker=EightGiB())  # type: ignore[arg-type]


def register(database: Database, worker: str, pool: str, memory: float | None) -> None:
    memory_bytes = None if memory is None else int(memory * GIB)
    with database.write() as session:
        workers.register(
            session, worker, host="h", pools=[pool], slots=1, devices=[], gpus=[], memory_bytes=memory_bytes
        )


@pytest.mark.parametrize(
    ("memories", "codes"),
    [
        ([], []),
        ([None], []),
        ([4, None], []),
        ([4], ["not_enough_memory"]),
        ([4, 7.9], ["not_enough_memory"]),
        ([4, 8], ["nearly_too_large"]),
        ([9.9], ["nearly_too_large"]),
        ([10], []),
        ([4, 64], []),
    ],
)
def test_a_job_needs_a_live_worker_with_its_memory(
    memories: list[float | None], codes: list[str], http: FlaskClient, database: Database, raw_spec: RawSpec
) -> None:
    for number, memory in enumerate(memories):
        register(database, f"wk_{number}", "default", memory)
    register(database, "wk_other", "other", 1000)
    response = http.post("/api/v1/jobs?dry_run=true", json=raw_spec)
    answer: Any = response.json
    found = answer["errors"] if response.status_code == 422 else answer["notices"]
    of_memory = [finding for finding in found if finding["code"] in ("not_enough_memory", "nearly_too_large")]
    assert [finding["code"] for finding in of_memory] == codes
    assert (response.status_code == 422) is (codes == ["not_enough_memory"])
    assert all("8.0 GiB" in finding["message"] and "'default'" in finding["message"] for finding in of_memory)


def test_only_what_is_not_on_its_gpus_counts_for_a_job_with_gpus(
    http: FlaskClient, database: Database, raw_spec: RawSpec
) -> None:
    register(database, "wk_1", "default", 2)
    answer = http.post("/api/v1/jobs?dry_run=true", json={**raw_spec, "resources": {"gpus": 1}})
    assert answer.status_code == 200, answer.json


def test_workers_that_have_stopped_do_not_count(http: FlaskClient, database: Database, raw_spec: RawSpec) -> None:
    register(database, "wk_1", "default", 2)
    with database.write() as session:
        workers.sign_off(session, "wk_1")
    assert http.post("/api/v1/jobs?dry_run=true", json=raw_spec).status_code == 200


def test_workers_show_their_memory_and_tell_it_again_with_each_heartbeat(http: FlaskClient, database: Database) -> None:
    register(database, "wk_1", "default", 2)
    answer: Any = http.get("/api/v1/workers").json
    assert [worker["memory_bytes"] for worker in answer["data"]] == [2 * GIB]
    with database.write() as session:
        assert workers.heartbeat(session, "wk_1", devices=[], gpus=[], memory_bytes=3 * GIB)
    answer = http.get("/api/v1/workers").json
    assert [worker["memory_bytes"] for worker in answer["data"]] == [3 * GIB]
