"""Changing and moving jobs, draining workers, and jobs that wait for too long, over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.states import EventKind
from fitqueue.views import JobView, WorkerView
from service import overdue
from service.api.context import EXTENSION, Services
from service.app import create_app
from service.db import Database
from service.queue import Notifier
from service.store import workers
from service.store.leases import Lease
from tests.integration.fixture_types import AdvanceClock, Submit
from tests.integration.service.test_actions import event_data
from tests.integration.service.test_prometheus import _key, _parse

URL = "/api/v1/jobs"
DRAIN = "/api/v1/workers/w1/drain"


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pools whose workers are notified, collected instead of sent."""
    pools: list[str] = []
    monkeypatch.setattr(Notifier, "notify", lambda _, pool: pools.append(pool) is None)
    return pools


@pytest.fixture
def worker(database: Database) -> str:
    """The id of a live worker."""
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=["CPU"], gpus=[])
    return "w1"


def test_a_waiting_job_is_changed(http: FlaskClient, submit: Submit, notified: list[str]) -> None:
    job_id = submit(labels={"team": "a"})
    body = {"name": "new", "pool": "gpu", "priority": 5, "labels": {"more": "b"}, "max_queued_seconds": 60}
    answer = http.patch(f"{URL}/{job_id}", json=body)
    assert answer.status_code == 200
    job = JobView.model_validate_json(answer.data)
    assert (job.name, job.pool, job.priority, job.labels) == ("new", "gpu", 5, {"team": "a", "more": "b"})
    assert (job.spec["resources"]["pool"], job.spec["max_queued_seconds"]) == ("gpu", 60)
    assert notified == ["gpu"]
    [data] = event_data(http, job_id, EventKind.CHANGED)
    assert (data["by"], data["changes"]["name"]) == ("admin", {"from": None, "to": "new"})
    read = http.get(f"{URL}/{job_id}", headers={"If-None-Match": answer.headers["ETag"]})
    assert read.status_code == 304
    assert http.patch(f"{URL}/{job_id}", json=body).headers["ETag"] == answer.headers["ETag"]


def test_all_faults_of_a_change_are_named_and_nothing_is_changed(http: FlaskClient, submit: Submit) -> None:
    job_id = submit()
    body = {"prioritty": 1, "priority": 101, "pool": "GPU!", "labels": {"!": "a", "b": 1}, "max_runtime_seconds": "1"}
    answer = http.patch(f"{URL}/{job_id}", json=body)
    problem: Any = answer.json
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    faults = {fault["pointer"]: fault for fault in problem["errors"]}
    assert faults.keys() == {"/prioritty", "/priority", "/pool", "/labels/!", "/labels/b", "/max_runtime_seconds"}
    assert "'priority'" in faults["/prioritty"]["message"]
    assert faults["/pool"]["code"] == "bad_name"
    assert http.get(f"{URL}/{job_id}").json["priority"] == 0
    for wrong in ([], "priority", 3):
        assert http.patch(f"{URL}/{job_id}", json=wrong).status_code == 422


def test_null_stands_for_the_default_of_the_service(services: Services, submit: Submit, token: str) -> None:
    app = create_app(services.settings.model_copy(update={"default_max_runtime_seconds": 3600}))
    http = app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    job_id = submit(max_runtime_seconds=60)
    changed: Any = http.patch(f"{URL}/{job_id}", json={"max_runtime_seconds": None}, headers=headers).json
    app.extensions[EXTENSION].database.close()
    assert changed["spec"]["max_runtime_seconds"] == 3600


def test_a_running_job_is_not_changed_or_moved(http: FlaskClient, url: str) -> None:
    for answer in (http.patch(url, json={"priority": 1}), http.post(f"{url}/move-to-front")):
        assert (answer.status_code, answer.json["code"]) == (409, "job_not_changeable")


def test_a_job_is_moved_to_the_front(http: FlaskClient, submit: Submit, notified: list[str]) -> None:
    submit(priority=3)
    job_id = submit()
    for _ in range(2):
        answer = http.post(f"{URL}/{job_id}/move-to-front")
        assert (answer.status_code, answer.json["priority"], answer.json["queue"]["position"]) == (200, 4, 1)
    assert notified == ["default", "default"]


def test_a_worker_is_drained_and_claims_again(http: FlaskClient, worker: str, lease: Lease) -> None:
    def metrics() -> tuple[float, float]:
        samples = _parse(http.get("/metrics").text)
        return tuple(samples[_key(f"fitqueue_{name}", pool="default")] for name in ("workers", "workers_draining"))  # type: ignore[return-value]

    assert metrics() == (1, 0)
    answer = http.post(DRAIN, json={"timeout_seconds": 600})
    drained = WorkerView.model_validate_json(answer.data)
    assert answer.status_code == 200
    assert drained.draining_since is not None
    assert drained.drains_until is not None
    assert (drained.drains_until - drained.draining_since).total_seconds() == 600
    assert drained.jobs == [lease.job_id]
    assert metrics() == (1, 1)
    assert http.post(DRAIN).json["drains_until"] is None
    for _ in range(2):
        ended = http.delete(DRAIN)
        assert (ended.status_code, ended.json["draining_since"]) == (200, None)
    assert metrics() == (1, 0)


def test_a_drain_that_is_not_possible_is_refused(http: FlaskClient, worker: str) -> None:
    for body in ({"timeout_seconds": -1}, {"timeout_seconds": 1.5}, {"timeout": 1}):
        answer = http.post(DRAIN, json=body)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    for call in (http.post, http.delete):
        answer = call("/api/v1/workers/none/drain")
        assert (answer.status_code, answer.json["code"]) == (404, "worker_not_found")


def test_the_api_ends_an_overdue_job_where_no_worker_is_alive(
    http: FlaskClient, submit: Submit, advance_clock: AdvanceClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "INTERVAL_SECONDS", 0.0)
    job_id = submit(max_queued_seconds=60)
    assert http.get(f"{URL}/{job_id}").json["state"] == "queued"
    advance_clock(61)
    job: Any = http.get(f"{URL}/{job_id}").json
    assert (job["state"], job["reason"]) == ("failed", "not_scheduled")
    assert "none is alive" in job["message"]


def test_the_pages_offer_what_can_be_done(http: FlaskClient, submit: Submit, worker: str) -> None:
    submit(priority=3)
    job_id = submit(name="<b>second</b>")
    html = http.get("/queue").text
    assert html.count("data-front=") == 1
    assert f'data-front="{job_id}"' in html
    assert 'data-drain="w1" data-method="POST"' in html
    page = http.get(f"/jobs/{job_id}").text
    assert 'data-action="move-to-front"' in page
    assert 'data-name="&lt;b&gt;second&lt;/b&gt;" data-pool="default" data-priority="0"' in page
    http.post(f"{URL}/{job_id}/move-to-front")
    assert 'data-action="move-to-front"' not in http.get(f"/jobs/{job_id}").text
    http.post(DRAIN, json={"timeout_seconds": 60})
    drained = http.get("/queue").text
    assert 'data-drain="w1" data-method="DELETE"' in drained
    assert "draining</span>" in drained
