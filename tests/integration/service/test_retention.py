"""What the API and the pages say of what was removed, and of jobs that are kept."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from fitqueue.retention import Removable, Retention
from fitqueue.views import JobView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.models import LAB_ID, Job
from service.purging import removals_of
from service.store import leases, recording, retention
from service.store.leases import Lease
from tests.integration.fixture_types import AdvanceClock, Submit
from tests.integration.service.saving import save_checkpoint
from tests.integration.store.operations import finish
from tests.reports import artifact_written, printed

DAY = 86_400.0
URL = "/api/v1/jobs"
SENTENCE = "The checkpoints were removed after 30 days by the retention of the project lab."
AFTER_A_MONTH = Retention(logs_days=30, events_days=30, checkpoints_days=30, artifacts_days=30)


@pytest.fixture
def ended(services: Services, database: Database, lease: Lease) -> str:
    """The id of an ended job that has saved weights, an artifact and a log."""
    save_checkpoint(services, lease, b"weights", ("best", "last", "e1"))
    with database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_lines(session, job, [printed("hello")])
        recording.record_artifact(session, job, artifact_written("log.csv"), "artifacts/a/b")
    assert finish(database, lease)
    return lease.job_id


@pytest.fixture
def emptied(services: Services, database: Database, ended: str, advance_clock: AdvanceClock) -> str:
    """The id of an ended job of which everything was removed that may be."""
    with database.write() as session:
        retention.set(session, LAB_ID, AFTER_A_MONTH)
    advance_clock(31 * DAY)
    for _ in removals_of(database, services.storage):
        pass
    return ended


@pytest.mark.parametrize("file", ["weights/best", "weights/last", "checkpoints/e1"])
def test_removed_weights_are_gone_and_say_why(http: FlaskClient, emptied: str, file: str) -> None:
    answer = http.get(f"{URL}/{emptied}/{file}")
    problem = Problem.model_validate_json(answer.data)
    assert (answer.status_code, problem.code) == (410, "expired")
    assert problem.detail.endswith(SENTENCE)


def test_a_removed_artifact_is_gone_and_says_why(http: FlaskClient, emptied: str) -> None:
    problem = Problem.model_validate_json(http.get(f"{URL}/{emptied}/artifacts/log.csv").data)
    assert (problem.status, problem.code) == (410, "expired")
    assert http.get(f"{URL}/{emptied}/artifacts/log.csv").status_code == 410


def test_the_job_lists_what_was_removed(http: FlaskClient, emptied: str) -> None:
    job = JobView.model_validate_json(http.get(f"{URL}/{emptied}").data)
    expected = [Removable.LOGS, Removable.EVENTS, Removable.CHECKPOINTS, Removable.ARTIFACTS]
    assert [removed.what for removed in job.removed] == expected
    assert (job.removed[2].message, job.removed[2].days, job.removed[2].project) == (SENTENCE, 30, "lab")
    assert http.get(f"{URL}/{emptied}?fields=removed").json["removed"][2]["message"] == SENTENCE  # type: ignore[index]
    for what in ("logs", "checkpoints", "artifacts"):
        assert http.get(f"{URL}/{emptied}/{what}").json == {"data": [], "next_cursor": None}
    kinds = {event["kind"] for event in http.get(f"{URL}/{emptied}/events").json["data"]}  # type: ignore[index]
    assert kinds == {"removed"}


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "checkpoints: after 30 d, by the retention of the project lab"),
        ("zh", "检查点：30 天后由项目 lab 的保留规则删除"),
    ],
)
def test_the_page_says_what_was_removed(http: FlaskClient, emptied: str, language: str, sentence: str) -> None:
    page = http.get(f"/jobs/{emptied}", headers={"Accept-Language": language})
    assert page.status_code == 200
    assert sentence in page.text


def test_a_new_job_cannot_start_from_removed_weights(
    http: FlaskClient, emptied: str, raw_spec: dict[str, object]
) -> None:
    answer = http.post(URL, json={**raw_spec, "initial_weights": {"job": emptied}})
    [fault] = Problem.model_validate_json(answer.data).errors
    assert (answer.status_code, fault.pointer) == (422, "/initial_weights/job")
    assert fault.message.endswith(SENTENCE)


def test_a_new_job_keeps_the_weights_that_it_starts_from(
    http: FlaskClient, services: Services, database: Database, ended: str, raw_spec: dict[str, object],
    advance_clock: AdvanceClock,
) -> None:  # fmt: skip
    assert http.post(URL, json={**raw_spec, "initial_weights": {"job": ended}}).status_code == 201
    with database.write() as session:
        retention.set(session, LAB_ID, AFTER_A_MONTH)
    advance_clock(31 * DAY)
    for _ in removals_of(database, services.storage):
        pass
    assert http.get(f"{URL}/{ended}/weights/best").status_code == 200
    assert http.get(f"{URL}/{ended}/artifacts/log.csv").status_code == 410


def test_keep_changes_at_any_time_and_nothing_else_does(http: FlaskClient, ended: str) -> None:
    answer = http.patch(f"{URL}/{ended}", json={"keep": True})
    job = JobView.model_validate_json(answer.data)
    assert (answer.status_code, job.keep, job.spec["keep"]) == (200, True, True)
    for body in ({"keep": False, "name": "another"}, {"priority": 1}, {}):
        problem = Problem.model_validate_json(http.patch(f"{URL}/{ended}", json=body).data)
        assert (problem.status, problem.code) == (409, "job_not_changeable")
    [listed] = http.get(URL).json["data"]  # type: ignore[index]
    assert listed["keep"] is True
    assert JobView.model_validate_json(http.patch(f"{URL}/{ended}", json={"keep": None}).data).keep is False
    assert http.patch(f"{URL}/{ended}", json={"keep": "yes"}).status_code == 422


def test_a_job_may_be_kept_from_the_beginning(http: FlaskClient, raw_spec: dict[str, object]) -> None:
    assert JobView.model_validate_json(http.post(URL, json={**raw_spec, "keep": True}).data).keep
    assert http.post(URL, json={**raw_spec, "keep": 1}).status_code == 422


def test_use_is_listed_by_user_and_by_project(
    http: FlaskClient, database: Database, lease: Lease, services: Services, submit: Submit
) -> None:
    submit()
    save_checkpoint(services, lease, b"weights", ("best", "last"))
    with database.write() as session:
        session.execute(update(Job).where(Job.id == lease.job_id).values(attempt_cpu_seconds=12.5))
    for by, name in (("user", "admin"), ("project", "lab")):
        page = http.get(f"/api/v1/usage?by={by}").json
        assert page is not None
        [row] = page["data"]
        expected = {"name": name, "gpu_seconds": 0.0, "cpu_seconds": 12.5, "stored_bytes": 7, "jobs": 2}
        assert row == expected
    assert http.get("/api/v1/usage?by=token").status_code == 422
    assert Page.model_validate_json(http.get("/api/v1/usage").data).next_cursor is None
