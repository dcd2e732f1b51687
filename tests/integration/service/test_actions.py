"""Cancel, pause, resume and extend over HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.states import EventKind, JobState, Reason
from fitqueue.views import EventView, JobView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.queue import Notifier
from service.store import leases, snapshots
from service.store.leases import ClaimedJob, Lease
from service.store.snapshots import SnapshotRecord

Raw = dict[str, Any]
Take = Callable[[], ClaimedJob]
URL = "/api/v1/jobs"


@pytest.fixture
def job(http: FlaskClient, raw_spec: Raw) -> str:
    return JobView.model_validate_json(http.post(URL, json=raw_spec).data).id


@pytest.fixture
def bells(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pools for which it was rung, in the place of the ringing."""
    rung: list[str] = []
    monkeypatch.setattr(Notifier, "notify", lambda _, pool: rung.append(pool) is None)
    return rung


def ask(http: FlaskClient, job: str, wish: str) -> JobView:
    body = {"json": {"epochs": 3}} if wish == "extend" else {}
    answer = http.post(f"{URL}/{job}/{wish}", **body)
    assert answer.status_code == 202, answer.text
    seen = http.get(f"{URL}/{job}")
    assert (answer.data, answer.headers["ETag"]) == (seen.data, seen.headers["ETag"])
    assert http.get(f"{URL}/{job}", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    return JobView.model_validate_json(answer.data)


def refused(http: FlaskClient, job: str, wish: str) -> Problem:
    body = {"json": {"epochs": 3}} if wish == "extend" else {}
    answer = http.post(f"{URL}/{job}/{wish}", **body)
    assert answer.mimetype == "application/problem+json"
    problem = Problem.model_validate_json(answer.data)
    assert answer.status_code == problem.status == 409
    return problem


def end(database: Database, lease: Lease, reason: Reason = Reason.COMPLETED) -> None:
    record = SnapshotRecord(f"snapshots/{lease.job_id}/{lease.attempt}", 2, 0, 10, "0" * 64)
    with database.write() as session:
        snapshots.record(session, lease, record)
        assert leases.finish(session, lease, reason, "as told")


def who(http: FlaskClient, job: str, kind: EventKind) -> list[dict[str, Any]]:
    page = Page[EventView].model_validate_json(http.get(f"{URL}/{job}/events").data)
    return [event.data for event in page.data if event.kind is kind]


def test_a_waiting_job_is_paused_and_resumed(http: FlaskClient, job: str, bells: list[str]) -> None:
    paused = [ask(http, job, "pause") for _ in range(2)]
    assert paused[0] == paused[1]
    assert (paused[0].state, paused[0].queue, paused[0].pause_requested_at) == (JobState.PAUSED, None, None)
    assert [each["id"] for each in (http.get(f"{URL}?state=paused").json or {})["data"]] == [job]
    assert http.delete(f"{URL}/{job}").status_code == 409
    assert bells == []
    resumed = [ask(http, job, "resume") for _ in range(2)]
    assert resumed[0] == resumed[1]
    assert resumed[0].state is JobState.QUEUED
    assert resumed[0].queue is not None
    assert bells == ["default"] * 2
    assert who(http, job, EventKind.PAUSED) == who(http, job, EventKind.UNPAUSED) == [{"by": "tests"}]


def test_a_running_job_is_asked_to_wait(http: FlaskClient, database: Database, job: str, take: Take) -> None:
    lease = take().lease
    asked = [ask(http, job, "pause") for _ in range(2)]
    assert asked[0] == asked[1]
    assert (asked[0].state, asked[0].pause_requested_at is not None) == (JobState.RUNNING, True)
    assert ask(http, job, "resume").pause_requested_at is None
    ask(http, job, "pause")
    with database.write() as session:
        leases.requeue(session, lease, "The job was paused.")
    paused = JobView.model_validate_json(http.get(f"{URL}/{job}").data)
    assert (paused.state, paused.worker, paused.pause_requested_at) == (JobState.PAUSED, None, None)
    assert who(http, job, EventKind.PAUSE_REQUESTED) == [{"by": "tests"}] * 2
    cancelled = ask(http, job, "cancel")
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


def test_an_ended_job_is_extended(
    http: FlaskClient, database: Database, job: str, take: Take, bells: list[str]
) -> None:
    end(database, take().lease)
    extended = [ask(http, job, "extend") for _ in range(2)]
    assert extended[0] == extended[1]
    view = extended[0]
    assert (view.state, view.reason, view.message, view.finished_at) == (JobState.QUEUED, None, None, None)
    assert (view.progress.epochs, view.spec["fit"]["epochs"]) == (8, 8)
    assert who(http, job, EventKind.EXTENDED) == [{"by": "tests", "epochs": 3}]
    assert bells == ["default"] * 2
    end(database, take().lease)
    assert ask(http, job, "extend").progress.epochs == 11


def test_what_does_not_fit_the_state_is_409(
    http: FlaskClient, database: Database, job: str, raw_spec: Raw, take: Take
) -> None:
    assert refused(http, job, "extend").code == "job_not_ended"
    lease = take().lease
    assert refused(http, job, "extend").code == "job_not_ended"
    end(database, lease, Reason.NAN_LOSS)
    for wish in ("cancel", "pause", "resume"):
        assert refused(http, job, wish).code == "job_ended"
    problem = refused(http, job, "extend")
    assert problem.code == "job_not_extendable"
    assert "nan_loss" in problem.detail
    never_ran = JobView.model_validate_json(http.post(URL, json=raw_spec).data).id
    ask(http, never_ran, "cancel")
    assert "anything to go on from" in refused(http, never_ran, "extend").detail


@pytest.mark.parametrize("wish", ["cancel", "pause", "resume", "extend"])
def test_no_such_job_and_no_other_method(wish: str, http: FlaskClient) -> None:
    answer = http.post(f"{URL}/job_none/{wish}", json={"epochs": 1})
    assert (answer.status_code, Problem.model_validate_json(answer.data).code) == (404, "job_not_found")
    answer = http.get(f"{URL}/job_none/{wish}")
    assert (answer.status_code, Problem.model_validate_json(answer.data).code) == (405, "method_not_allowed")
    assert answer.headers["Allow"].split(", ").count("POST") == 1


@pytest.mark.parametrize("wish", ["pause", "resume", "extend"])
def test_it_works_while_redis_is_down(wish: str, http: FlaskClient, database: Database, job: str, take: Take) -> None:
    if wish == "extend":
        end(database, take().lease)
    ask(http, job, wish)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"epochs": 1}', "text/plain", 415, "unsupported_media_type"),
        (b'{"epochs": 1}', None, 415, "unsupported_media_type"),
        (b"epochs=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"", "application/json", 400, "malformed_json"),
        (b"{", "application/json", 400, "malformed_json"),
        (b'{"epochs": 1, "epochs": 2}', "application/json", 400, "malformed_json"),
        (b'{"epochs": NaN}', "application/json", 400, "malformed_json"),
        (b'{"epochs": 1%s}' % (b"0" * 30), "application/json", 400, "malformed_json"),
        (b"\xff", "application/json", 400, "malformed_json"),
        (b"[" * 50_000, "application/json", 400, "malformed_json"),
        (b'{"epochs": 1}' + b" " * 100_000, "application/json", 413, "body_too_large"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_json_extends_nothing(
    body: bytes,
    content_type: str | None,
    status: int,
    code: str,
    http: FlaskClient,
    database: Database,
    job: str,
    take: Take,
) -> None:
    end(database, take().lease)
    answer = http.post(f"{URL}/{job}/extend", data=body, content_type=content_type)
    assert (answer.status_code, Problem.model_validate_json(answer.data).code) == (status, code)
    assert (http.get(f"{URL}/{job}").json or {})["state"] == "succeeded"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/epochs"]),
        ({"epochs": 0}, ["/epochs"]),
        ({"epochs": -3}, ["/epochs"]),
        ({"epochs": 1_000_001}, ["/epochs"]),
        ({"epochs": 2**63 - 1}, ["/epochs"]),
        ({"epochs": "3"}, ["/epochs"]),
        ({"epochs": 3.0}, ["/epochs"]),
        ({"epochs": True}, ["/epochs"]),
        ({"epochs": None}, ["/epochs"]),
        ({"epochs": [3]}, ["/epochs"]),
        ({"epochs": 3, "colour": "red"}, ["/colour"]),
        ({"epoch": 3}, ["/epochs", "/epoch"]),
        ({"epochs": 0, "colour": "red"}, ["/epochs", "/colour"]),
        ({"epochs": 3, "a/b~c": 1}, ["/a~1b~0c"]),
        ([], [""]),
        (3, [""]),
        (None, [""]),
    ],
    ids=str,
)
def test_what_is_no_extension_names_every_fault(
    body: object, pointers: list[str], http: FlaskClient, database: Database, job: str, take: Take
) -> None:
    end(database, take().lease)
    answer = http.post(f"{URL}/{job}/extend", data=json.dumps(body), content_type="application/json")
    problem = Problem.model_validate_json(answer.data)
    assert (answer.status_code, problem.code) == (422, "invalid_request")
    assert sorted(fault.pointer for fault in problem.errors) == sorted(pointers)
    assert all(fault.message for fault in problem.errors)
    assert (http.get(f"{URL}/{job}").json or {})["state"] == "succeeded"


def test_the_description_tells_of_each_wish(http: FlaskClient) -> None:
    paths = (http.get("/api/v1/openapi.json").json or {})["paths"]
    for wish in ("cancel", "pause", "resume", "extend"):
        operation = paths[f"{URL}/{{job_id}}/{wish}"]["post"]
        assert {"202", "401", "404", "409", "422"} <= set(operation["responses"])
        assert ("requestBody" in operation) == (wish == "extend")
    extend = paths[f"{URL}/{{job_id}}/extend"]["post"]
    assert {"400", "415"} <= set(extend["responses"])
    schema = extend["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["epochs"], False)
    assert (schema["properties"]["epochs"]["minimum"], schema["properties"]["epochs"]["type"]) == (1, "integer")


def test_the_description_tells_that_a_body_can_be_too_large(http: FlaskClient) -> None:
    paths = (http.get("/api/v1/openapi.json").json or {})["paths"]
    assert "413" in paths[f"{URL}/{{job_id}}/extend"]["post"]["responses"]


def test_jobs_of_all_states_can_be_asked_for(http: FlaskClient, job: str) -> None:
    answer = http.get(f"{URL}?{'&'.join(f'state={state}' for state in JobState)}")
    assert answer.status_code == 200, answer.text
    assert [each["id"] for each in (answer.json or {})["data"]] == [job]
