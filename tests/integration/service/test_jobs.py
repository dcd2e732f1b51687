"""Listing, watching and deleting jobs over HTTP."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from fitqueue.states import Phase, Reason
from fitqueue.views import JobSummary, JobView, Page, Problem, QueuedJob
from service import clock
from service.api.context import MAX_FOLLOWERS, Services
from service.db import Database
from service.models import Job, Worker
from service.store import actions, attempt_outcomes, leases, recording, tokens, workers
from tests.integration.fixture_types import Claim
from tests.waiting import until

RawSpec = dict[str, Any]
URL = "/api/v1/jobs"


def _submit(http: FlaskClient, raw_spec: RawSpec) -> JobView:
    response = http.post(URL, json=raw_spec)
    assert response.status_code == 201, response.text
    return JobView.model_validate_json(response.data)


def test_lists_are_filtered_before_they_are_cut_into_pages(http: FlaskClient, raw_spec: RawSpec) -> None:
    expected = [_submit(http, {**raw_spec, "labels": {"team": "vision", "x": "a=b"}}).id for _ in range(3)]
    for _ in range(2):
        _submit(http, {**raw_spec, "labels": {"team": "text"}})
    ids, cursor = [], ""
    while True:
        answer = http.get(f"{URL}?label=team=vision&label=x=a=b&limit=2&state=queued&state=running{cursor}")
        page = Page[JobSummary].model_validate_json(answer.data)
        assert len(page.data) <= 2
        ids += [job.id for job in page.data]
        if page.next_cursor is None:
            break
        cursor = f"&cursor={page.next_cursor}"
    assert ids == expected[::-1]
    assert http.get(f"{URL}?state=failed").json == {"data": [], "next_cursor": None}
    assert http.get(f"{URL}?label=team=vision&label=team=text").json == {"data": [], "next_cursor": None}
    assert http.get(f"{URL}?label=team").status_code == 422


def test_a_list_says_who_submitted_a_job_and_is_filtered_by_it(
    app: Flask, http: FlaskClient, database: Database, raw_spec: RawSpec
) -> None:
    with database.write() as session:
        ada = app.test_client()
        ada.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {tokens.create(session, 'ada')}"
    job, other = _submit(ada, raw_spec), _submit(http, raw_spec)
    assert (job.submitted_by, other.submitted_by) == ("ada", "tests")
    assert _listed(http, "submitted_by=ada") == [job.id]
    assert _listed(http, "submitted_by=ada&state=failed") == _listed(http, "submitted_by=nobody") == []
    assert _listed(http, "dataset=digits") == [other.id, job.id]
    assert _listed(http, "dataset=letters") == []


def _listed(http: FlaskClient, query: str) -> list[str]:
    page = Page[JobSummary].model_validate_json(http.get(f"{URL}?{query}").data)
    return [job.id for job in page.data]


def test_a_list_is_sorted_and_goes_on_with_its_cursor(http: FlaskClient, raw_spec: RawSpec) -> None:
    ids = [_submit(http, {**raw_spec, "name": name}).id for name in ("b", "c", "a")]
    http.post(f"{URL}/{ids[1]}/cancel")
    orders = {
        "newest": [2, 1, 0],
        "oldest": [0, 1, 2],
        "name": [2, 0, 1],
        "finished": [1, 2, 0],
    }
    for sort, order in orders.items():
        page = Page[JobSummary].model_validate_json(http.get(f"{URL}?sort={sort}&limit=2").data)
        assert page.next_cursor is not None
        rest = _listed(http, f"sort={sort}&cursor={page.next_cursor}")
        assert [job.id for job in page.data] + rest == [ids[n] for n in order]
        other = "oldest" if sort != "oldest" else "name"
        refused = http.get(f"{URL}?sort={other}&cursor={page.next_cursor}")
        assert refused.status_code == 422
        [fault] = Problem.model_validate_json(refused.data).errors
        assert (fault.pointer, fault.code, fault.expected) == (
            "cursor",
            "invalid_cursor",
            f"a cursor of `sort={other}`",
        )
    assert http.get(f"{URL}?sort=size").status_code == 422


def test_the_queue_is_listed_in_pages(http: FlaskClient, raw_spec: RawSpec, claim: Claim) -> None:
    job = {**raw_spec, "name": "digits", "labels": {"team": "vision"}}
    first, low, high = (_submit(http, {**job, "priority": priority}) for priority in (3, 0, 1))
    large = _submit(http, {**job, "resources": {"pool": "large", "gpus": 2}})
    assert claim().lease.job_id == first.id
    found: list[QueuedJob] = []
    cursor = ""
    while len(found) < 10:
        page = Page[QueuedJob].model_validate_json(http.get(f"/api/v1/queue?limit=2{cursor}").data)
        found += page.data
        if page.next_cursor is None:
            break
        cursor = f"&cursor={page.next_cursor}"
    assert [(row.id, row.pool, row.position) for row in found] == [
        (high.id, "default", 1),
        (low.id, "default", 2),
        (large.id, "large", 1),
    ]
    assert found[2] == QueuedJob(
        id=large.id,
        name="digits",
        pool="large",
        priority=0,
        gpus=2,
        labels={"team": "vision"},
        owner="admin",
        project="lab",
        submitted_by="tests",
        position=1,
        waiting_for="a worker that serves the pool 'large'; none is alive",
        created_at=large.created_at,
        queued_since=large.created_at,
    )
    of_pool = Page[QueuedJob].model_validate_json(http.get("/api/v1/queue?pool=large").data)
    assert [row.id for row in of_pool.data] == [large.id]
    assert http.get("/api/v1/queue?pool=none").json == {"data": [], "next_cursor": None}
    assert http.get("/api/v1/queue?cursor=x").status_code == 422


def test_a_job_that_waits_says_when_it_starts_and_ends(
    http: FlaskClient, database: Database, raw_spec: RawSpec, claim: Claim
) -> None:
    runs = _submit(http, {**raw_spec, "callbacks": [{"class_name": "EarlyStopping", "config": {"monitor": "loss"}}]})
    waits = _submit(http, raw_spec)
    assert claim().lease.job_id == runs.id
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
        session.execute(update(Worker).values(last_seen_at=clock.now(session) + timedelta(1)))
        session.execute(update(Job).values(seconds_per_epoch=2400))
    url = f"{URL}/{waits.id}"
    answer = until(lambda: _forecast(http, url), 120, "a new forecast")
    job = JobView.model_validate_json(answer.data)
    assert job.queue is not None
    assert job.queue.ahead == 0
    assert job.queue.starts_in_seconds == pytest.approx(12_000, abs=60)
    assert job.queue.may_start_earlier
    assert job.finishes_at is not None
    assert (job.finishes_at - datetime.now(UTC)).total_seconds() == pytest.approx(24_000, abs=120)
    assert job.may_finish_earlier
    assert job.progress.eta_seconds is None, "it does not run"
    assert http.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304, "it reads the same"
    [queued] = Page[QueuedJob].model_validate_json(http.get("/api/v1/queue").data).data
    assert queued.starts_in_seconds == pytest.approx(12_000, abs=60)
    assert (queued.may_start_earlier, queued.may_finish_earlier, queued.ahead) == (True, True, 0)
    running = JobView.model_validate_json(http.get(f"{URL}/{runs.id}").data)
    assert running.progress.eta_seconds == pytest.approx(12_000, abs=60)
    assert running.may_finish_earlier


def _forecast(http: FlaskClient, url: str) -> Any:
    """Return the answer with a job, if it says when the job starts."""
    answer = http.get(url)
    assert answer.json is not None
    return answer if answer.json["queue"]["starts_in_seconds"] else None


def test_the_etag_changes_with_the_job_and_its_queue_position(
    http: FlaskClient, database: Database, raw_spec: RawSpec, claim: Claim
) -> None:
    first = _submit(http, raw_spec)
    second = _submit(http, raw_spec)
    url = f"{URL}/{second.id}"
    tags = [http.get(url).headers["ETag"]]
    unchanged = http.get(url, headers={"If-None-Match": tags[0]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == tags[0]
    for matching in (f'"other", {tags[0]}', f"W/{tags[0]}", "*"):
        assert http.get(url, headers={"If-None-Match": matching}).status_code == 304
    assert claim().lease.job_id == first.id
    tags.append(http.get(url).headers["ETag"])
    lease = claim().lease
    tags.append(http.get(url).headers["ETag"])
    with database.write() as session:
        recording.record_phase(session, leases.held_job(session, lease), Phase.TRAINING)
    tags.append(http.get(url).headers["ETag"])
    assert len(set(tags)) == 4
    assert http.get(url, headers={"If-None-Match": tags[0]}).status_code == 200


# --- Long polls -------------------------------------------------------------------------------------------------------


def test_a_long_poll_is_answered_when_the_job_changes(
    http: FlaskClient, services: Services, database: Database, raw_spec: RawSpec
) -> None:
    job = _submit(http, raw_spec)
    url = f"{URL}/{job.id}"
    tag = http.get(url).headers["ETag"]
    answers: list[Any] = []
    poll = threading.Thread(target=lambda: answers.append(http.get(f"{url}?wait=60", headers={"If-None-Match": tag})))
    poll.start()
    until(lambda: services.followers._value < MAX_FOLLOWERS, 120, "the poll waits")
    assert poll.is_alive()
    with database.write() as session:
        actions.cancel(session, job.id)
    poll.join(45)  # less than it waits by itself
    assert not poll.is_alive()
    assert answers[0].status_code == 200
    assert answers[0].json["state"] == "cancelled"


def test_a_long_poll_does_not_wait_without_need(http: FlaskClient, services: Services, raw_spec: RawSpec) -> None:
    job = _submit(http, raw_spec)
    url = f"{URL}/{job.id}"
    tag = http.get(url).headers["ETag"]
    for matching in (tag, f"W/{tag}"):
        assert http.get(f"{url}?wait=1", headers={"If-None-Match": matching}).status_code == 304
    assert http.get(f"{url}?wait=60", headers={"If-None-Match": '"older"'}).status_code == 200
    while services.followers.acquire(blocking=False):
        pass
    too_many = http.get(f"{url}?wait=60", headers={"If-None-Match": tag})
    assert too_many.status_code == 304, "too many requests are waiting already"
    services.followers.release()
    http.post(f"{url}/cancel")
    tag = http.get(url).headers["ETag"]
    ended = http.get(f"{url}?wait=60", headers={"If-None-Match": tag})
    assert ended.status_code == 304, "an ended job does not change any more"
    assert http.get(f"{url}?wait=61").status_code == 422


# --- Cancel and delete ------------------------------------------------------------------------------------------------


def test_a_job_can_be_cancelled_while_it_runs_and_deleted_when_it_has_ended(
    http: FlaskClient, database: Database, raw_spec: RawSpec, claim: Claim
) -> None:
    job = _submit(http, raw_spec)
    url = f"{URL}/{job.id}"
    claimed = claim()
    refused = http.delete(url)
    assert (refused.status_code, Problem.model_validate_json(refused.data).code) == (409, "job_not_ended")
    first, second = http.post(f"{url}/cancel"), http.post(f"{url}/cancel")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.data == second.data
    assert JobView.model_validate_json(first.data).cancel_requested_at is not None
    with database.write() as session:
        assert attempt_outcomes.finish(session, claimed.lease, Reason.COMPLETED, "The training had just ended.")
    late = http.post(f"{url}/cancel")
    assert (late.status_code, Problem.model_validate_json(late.data).code) == (409, "job_ended")
    assert http.delete(url).status_code == 204
    assert http.get(url).status_code == 404
