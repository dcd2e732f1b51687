"""Cancel, pause, resume and extend over HTTP."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.states import EventKind, JobState, Reason
from fitqueue.views import EventView, JobView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.models import Job
from service.queue import Notifier
from service.store import attempt_outcomes, job_details, jobs, leases, recording, snapshots
from service.store.job_details import JobDetails
from service.store.leases import Lease
from tests.integration.fixture_types import Claim
from tests.reports import epoch_ended, snapshot_written

RawSpec = dict[str, Any]
URL = "/api/v1/jobs"
ACTIONS = ["cancel", "pause", "resume", "extend"]


@pytest.fixture
def job(http: FlaskClient, raw_spec: RawSpec) -> str:
    """The id of a queued job."""
    return JobView.model_validate_json(http.post(URL, json=raw_spec).data).id


@pytest.fixture
def notified(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pools whose workers are notified, collected instead of sent."""
    pools: list[str] = []
    monkeypatch.setattr(Notifier, "notify", lambda _, pool: pools.append(pool) is None)
    return pools


def _post(http: FlaskClient, job: str, action: str) -> Any:
    body = {"json": {"epochs": 3}} if action == "extend" else {}
    return http.post(f"{URL}/{job}/{action}", **body)


def perform(http: FlaskClient, job: str, action: str) -> JobView:
    """Perform an action, and check that its answer is what a GET answers then."""
    answer = _post(http, job, action)
    assert answer.status_code == 202, answer.text
    read = http.get(f"{URL}/{job}")
    assert (answer.data, answer.headers["ETag"]) == (read.data, read.headers["ETag"])
    assert http.get(f"{URL}/{job}", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    return JobView.model_validate_json(answer.data)


def perform_refused(http: FlaskClient, job: str, action: str) -> Problem:
    """Perform an action that must be refused with 409."""
    answer = _post(http, job, action)
    assert answer.mimetype == "application/problem+json"
    problem = Problem.model_validate_json(answer.data)
    assert answer.status_code == problem.status == 409
    return problem


def end(database: Database, lease: Lease, reason: Reason = Reason.COMPLETED, epoch: int = 2) -> None:
    """End a job after this epoch, which has a snapshot."""
    with database.write() as session:
        key = f"snapshots/{lease.job_id}/{lease.attempt}"
        job = leases.held_job(session, lease)
        recording.record_epoch(session, job, epoch_ended(epoch))
        snapshots.record(session, job, snapshot_written(epoch), key)
        assert attempt_outcomes.finish(session, lease, reason, "The training ended.")


def event_data(http: FlaskClient, job: str, kind: EventKind) -> list[dict[str, Any]]:
    page = Page[EventView].model_validate_json(http.get(f"{URL}/{job}/events").data)
    return [event.data for event in page.data if event.kind is kind]


def test_a_queued_job_is_paused_and_resumed(http: FlaskClient, job: str, notified: list[str]) -> None:
    paused = [perform(http, job, "pause") for _ in range(2)]
    assert paused[0] == paused[1]
    assert (paused[0].state, paused[0].queue, paused[0].pause_requested_at) == (JobState.PAUSED, None, None)
    assert [row["id"] for row in (http.get(f"{URL}?state=paused").json or {})["data"]] == [job]
    assert http.delete(f"{URL}/{job}").status_code == 409
    assert notified == []
    resumed = [perform(http, job, "resume") for _ in range(2)]
    assert resumed[0] == resumed[1]
    assert resumed[0].state is JobState.QUEUED
    assert resumed[0].queue is not None
    assert notified == ["default"] * 2
    assert event_data(http, job, EventKind.PAUSED) == event_data(http, job, EventKind.UNPAUSED) == [{"by": "admin"}]


def test_a_running_job_is_asked_to_pause(http: FlaskClient, database: Database, job: str, claim: Claim) -> None:
    lease = claim().lease
    asked = [perform(http, job, "pause") for _ in range(2)]
    assert asked[0] == asked[1]
    assert (asked[0].state, asked[0].pause_requested_at is not None) == (JobState.RUNNING, True)
    assert perform(http, job, "resume").pause_requested_at is None
    perform(http, job, "pause")
    with database.write() as session:
        attempt_outcomes.requeue(session, lease, "The job was paused.")
    paused = JobView.model_validate_json(http.get(f"{URL}/{job}").data)
    assert (paused.state, paused.worker, paused.pause_requested_at) == (JobState.PAUSED, None, None)
    assert event_data(http, job, EventKind.PAUSE_REQUESTED) == [{"by": "admin"}] * 2
    cancelled = perform(http, job, "cancel")
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


def test_an_ended_job_is_extended(
    http: FlaskClient, database: Database, job: str, claim: Claim, notified: list[str]
) -> None:
    end(database, claim().lease)
    extended = [perform(http, job, "extend") for _ in range(2)]
    assert extended[0] == extended[1]
    view = extended[0]
    assert (view.state, view.reason, view.message, view.finished_at) == (JobState.QUEUED, None, None, None)
    assert (view.progress.epochs, view.spec["fit"]["epochs"]) == (2 + 3, 2 + 3), "it had stopped after two epochs"
    assert event_data(http, job, EventKind.EXTENDED) == [{"by": "admin", "epochs": 3}]
    assert notified == ["default"] * 2
    end(database, claim().lease, epoch=4)
    assert perform(http, job, "extend").progress.epochs == 4 + 3


def test_an_action_that_does_not_suit_the_state_is_409(
    http: FlaskClient, database: Database, job: str, raw_spec: RawSpec, claim: Claim
) -> None:
    assert perform_refused(http, job, "extend").code == "job_not_ended"
    lease = claim().lease
    assert perform_refused(http, job, "extend").code == "job_not_ended"
    end(database, lease, Reason.NAN_LOSS)
    for action in ("cancel", "pause", "resume"):
        problem = perform_refused(http, job, action)
        assert (problem.code, problem.detail) == ("job_ended", f"The job {job} has already failed (nan_loss).")
    problem = perform_refused(http, job, "extend")
    assert problem.code == "job_not_extendable"
    assert problem.detail == f"The job {job} ended with nan_loss: more epochs would end the same way."
    never_ran = JobView.model_validate_json(http.post(URL, json=raw_spec).data).id
    perform(http, never_ran, "cancel")
    problem = perform_refused(http, never_ran, "extend")
    assert problem.detail == f"The job {never_ran} ended before it had a snapshot to resume from; submit it again."


@pytest.mark.parametrize("action", ["submit", *ACTIONS])
def test_the_answer_to_a_write_is_read_after_its_commit(
    action: str, http: FlaskClient, services: Services, database: Database, job: str, raw_spec: RawSpec, claim: Claim,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """While the answer is read, other connections see the write, and can write to the job: nothing is locked."""
    if action == "extend":
        end(database, claim().lease)
    if action == "resume":
        perform(http, job, "pause")
    read, states = job_details.read, []

    def write_from_another_connection(session: Any, read_job: Job, *arguments: Any) -> JobDetails:
        other = Database(services.settings.database_url)
        try:
            with other.write() as other_session:
                states.append(jobs.locked(other_session, read_job.id).state)
        finally:
            other.close()
        return read(session, read_job, *arguments)

    monkeypatch.setattr(job_details, "read", write_from_another_connection)
    answer = http.post(URL, json=raw_spec) if action == "submit" else _post(http, job, action)
    assert answer.status_code == (201 if action == "submit" else 202), answer.text
    expected = {"cancel": JobState.CANCELLED, "pause": JobState.PAUSED}.get(action, JobState.QUEUED)
    assert states == [expected]


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unknown_job_is_404_and_another_method_is_405(action: str, http: FlaskClient) -> None:
    answer = http.post(f"{URL}/job_none/{action}", json={"epochs": 1})
    assert (answer.status_code, Problem.model_validate_json(answer.data).code) == (404, "job_not_found")
    answer = http.get(f"{URL}/job_none/{action}")
    assert (answer.status_code, Problem.model_validate_json(answer.data).code) == (405, "method_not_allowed")
    assert answer.headers["Allow"].split(", ").count("POST") == 1


@pytest.mark.parametrize("action", ["pause", "resume", "extend"])
def test_actions_work_while_redis_is_down(
    action: str, http: FlaskClient, database: Database, job: str, claim: Claim
) -> None:
    if action == "extend":
        end(database, claim().lease)
    perform(http, job, action)


# --- The body of an extension -----------------------------------------------------------------------------------------


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
def test_a_body_that_is_not_strict_json_does_not_extend_the_job(
    body: bytes,
    content_type: str | None,
    status: int,
    code: str,
    http: FlaskClient,
    database: Database,
    job: str,
    claim: Claim,
) -> None:
    end(database, claim().lease)
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
def test_an_invalid_extension_is_422_and_names_every_fault(
    body: object, pointers: list[str], http: FlaskClient, database: Database, job: str, claim: Claim
) -> None:
    end(database, claim().lease)
    answer = http.post(f"{URL}/{job}/extend", data=json.dumps(body), content_type="application/json")
    problem = Problem.model_validate_json(answer.data)
    assert (answer.status_code, problem.code) == (422, "invalid_request")
    assert sorted(fault.pointer for fault in problem.errors) == sorted(pointers)
    assert all(fault.message for fault in problem.errors)
    assert (http.get(f"{URL}/{job}").json or {})["state"] == "succeeded"


# --- OpenAPI ----------------------------------------------------------------------------------------------------------


def test_the_description_includes_every_action(http: FlaskClient) -> None:
    paths = (http.get("/api/v1/openapi.json").json or {})["paths"]
    for action in ACTIONS:
        operation = paths[f"{URL}/{{job_id}}/{action}"]["post"]
        assert {"202", "401", "404", "409", "422"} <= set(operation["responses"])
        assert ("requestBody" in operation) == (action == "extend")
    extend = paths[f"{URL}/{{job_id}}/extend"]["post"]
    assert {"400", "413", "415"} <= set(extend["responses"])
    schema = extend["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["epochs"], False)
    assert (schema["properties"]["epochs"]["minimum"], schema["properties"]["epochs"]["type"]) == (1, "integer")


def test_jobs_can_be_listed_by_every_state(http: FlaskClient, job: str) -> None:
    answer = http.get(f"{URL}?{'&'.join(f'state={state}' for state in JobState)}")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in (answer.json or {})["data"]] == [job]
