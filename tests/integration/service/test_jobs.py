import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.states import JobState, Phase, Reason
from fitqueue.views import DryRun, JobSummary, JobView, Page, Problem
from service.api.context import EXTENSION, Services
from service.db import Database
from service.queue import Notifier
from service.store import actions, jobs, leases, recording
from service.store.leases import ClaimedJob

Raw = dict[str, Any]
URL = "/api/v1/jobs"


def _count(database: Database) -> int:
    with database.read() as session:
        return len(jobs.list_page(session, jobs.Filter(), None, 100)[0])


def _post(http: FlaskClient, raw: Raw, **headers: str) -> JobView:
    response = http.post(URL, json=raw, headers=headers)
    assert response.status_code == 201, response.text
    return JobView.model_validate_json(response.data)


def test_a_job_is_taken_while_redis_is_down(http: FlaskClient, raw_spec: Raw) -> None:
    response = http.post(URL, json={**raw_spec, "name": "digits", "labels": {"a": "b"}})
    assert response.status_code == 201
    job = JobView.model_validate_json(response.data)
    assert response.headers["Location"] == f"{URL}/{job.id}"
    assert (job.state, job.name, job.labels) == (JobState.QUEUED, "digits", {"a": "b"})
    assert job.spec["fit"]["batch_size"] == 32, "defaults are filled in"
    assert job.queue is not None
    assert (job.queue.position, job.queue.waiting_for) == (1, "no worker serves the pool 'default'")
    assert JobView.model_validate_json(http.get(response.headers["Location"]).data) == job


def test_a_dry_run_stores_nothing(http: FlaskClient, database: Database, raw_spec: Raw) -> None:
    response = http.post(f"{URL}?dry_run=true", json=raw_spec)
    assert response.status_code == 200
    assert DryRun.model_validate_json(response.data).spec["fit"]["epochs"] == 5
    assert _count(database) == 0


def test_all_faults_at_once_and_nothing_stored(http: FlaskClient, database: Database, raw_spec: Raw) -> None:
    raw_spec["fit"]["epochs"] = "five"
    raw_spec["data"]["dataset"] = "nowhere"
    raw_spec["colour"] = "red"
    for query in ("", "?dry_run=true"):
        response = http.post(URL + query, json=raw_spec)
        problem = Problem.model_validate_json(response.data)
        assert (response.status_code, problem.code) == (422, "invalid_spec")
        assert {"/fit/epochs", "/data/dataset", "/colour"} <= {fault.pointer for fault in problem.errors}
    assert _count(database) == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 50_000, b'{"a": 1e999}', b"\xff", b'{"a": "\\u0000"}'],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_strict_json_is_400(http: FlaskClient, database: Database, body: bytes) -> None:
    response = http.post(URL, data=body, content_type="application/json")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (400, "malformed_json")
    assert _count(database) == 0


@pytest.mark.parametrize("body", ["[]", "1", "null", '"text"', "{}"])
def test_json_that_is_no_job_is_422(http: FlaskClient, body: str) -> None:
    response = http.post(URL, data=body, content_type="application/json")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_spec")


def test_other_bodies_are_refused(http: FlaskClient, raw_spec: Raw) -> None:
    form = http.post(URL, data={"a": "b"})
    assert (form.status_code, Problem.model_validate_json(form.data).code) == (415, "unsupported_media_type")
    large = http.post(URL, data=json.dumps(raw_spec) + " " * 100_000, content_type="application/json")
    assert (large.status_code, Problem.model_validate_json(large.data).code) == (413, "body_too_large")
    assert large.headers["Connection"] == "close"


def test_the_same_key_gives_the_same_job(http: FlaskClient, database: Database, raw_spec: Raw) -> None:
    first = _post(http, raw_spec, **{"Idempotency-Key": "k-1"})
    again = http.post(URL, json=dict(reversed(raw_spec.items())), headers={"Idempotency-Key": "k-1"})
    assert again.status_code == 201
    assert (again.json or {})["id"] == first.id
    assert again.headers["Idempotency-Replayed"] == "true"
    other = http.post(URL, json={**raw_spec, "priority": 1}, headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, Problem.model_validate_json(other.data).code) == (422, "idempotency_mismatch")
    assert _count(database) == 1
    for bad in ("", "x" * 256, "ä"):
        response = http.post(URL, json=raw_spec, headers={"Idempotency-Key": bad})
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_request")


class Meanwhile:
    """In a checker's place: while a job is checked, something else happens."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def ask(self, check_request: ModelCheckRequest) -> ModelCheckResult:
        self._act()
        return ModelCheckResult()


@pytest.fixture
def while_checked(app: Flask, services: Services) -> Callable[..., None]:
    def arrange(act: Callable[[], object], **parts: Any) -> None:
        app.extensions[EXTENSION] = replace(services, checker=Meanwhile(act), **parts)

    return arrange


def test_the_same_key_at_the_same_moment(
    http: FlaskClient, raw_spec: Raw, redis_url: str, while_checked: Callable[..., None]
) -> None:
    """One request makes the job and rings for it; the others are told that they are replays."""
    while_checked(threading.Barrier(8, timeout=60).wait, notifier=Notifier(redis_url))
    with ThreadPoolExecutor(8) as threads:
        requests = [threads.submit(http.post, URL, json=raw_spec, headers={"Idempotency-Key": "k"}) for _ in range(8)]
    answers = [request.result() for request in requests]
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sorted(answer.headers.get("Idempotency-Replayed", "") for answer in answers) == ["", *["true"] * 7]
    assert redis.Redis.from_url(redis_url).llen("fitqueue.default") == 1


def test_a_data_set_that_is_deleted_while_the_job_is_checked(
    http: FlaskClient, database: Database, raw_spec: Raw, while_checked: Callable[..., None]
) -> None:
    arrays = io.BytesIO()
    np.savez(arrays, x_train=np.zeros((20, 8, 8), "float32"), y_train=np.zeros(20, "int64"))
    assert http.post("/api/v1/datasets?name=mine", data=arrays.getvalue()).status_code == 201
    raw_spec["data"]["dataset"] = "mine"
    while_checked(lambda: http.delete("/api/v1/datasets/mine"))
    response = http.post(URL, json=raw_spec)
    problem = Problem.model_validate_json(response.data)
    assert (response.status_code, problem.code) == (422, "invalid_spec")
    assert [(fault.pointer, fault.code) for fault in problem.errors] == [("/data/dataset", "unknown_dataset")]
    assert _count(database) == 0


def test_lists_are_filtered_then_cut(http: FlaskClient, raw_spec: Raw) -> None:
    wanted = [_post(http, {**raw_spec, "labels": {"team": "vision", "x": "a=b"}}).id for _ in range(3)]
    for _ in range(2):
        _post(http, {**raw_spec, "labels": {"team": "text"}})
    found, cursor = [], ""
    while True:
        answer = http.get(f"{URL}?label=team=vision&label=x=a=b&limit=2&state=queued&state=running{cursor}")
        page = Page[JobSummary].model_validate_json(answer.data)
        assert len(page.data) <= 2
        found += [job.id for job in page.data]
        if page.next_cursor is None:
            break
        cursor = f"&cursor={page.next_cursor}"
    assert found == wanted[::-1]
    assert http.get(f"{URL}?state=failed").json == {"data": [], "next_cursor": None}
    assert http.get(f"{URL}?label=team=vision&label=team=text").json == {"data": [], "next_cursor": None}
    assert http.get(f"{URL}?label=team").status_code == 422


def test_the_tag_changes_with_the_job_and_its_queue(
    http: FlaskClient, database: Database, raw_spec: Raw, take: Callable[[], ClaimedJob]
) -> None:
    first = _post(http, raw_spec)
    second = _post(http, raw_spec)
    url = f"{URL}/{second.id}"
    tags = [http.get(url).headers["ETag"]]
    unchanged = http.get(url, headers={"If-None-Match": tags[0]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == tags[0]
    for known in (f'"other", {tags[0]}', f"W/{tags[0]}", "*"):
        assert http.get(url, headers={"If-None-Match": known}).status_code == 304
    assert take().lease.job_id == first.id
    tags.append(http.get(url).headers["ETag"])
    lease = take().lease
    tags.append(http.get(url).headers["ETag"])
    with database.write() as session:
        recording.record_phase(session, lease, Phase.TRAINING)
    tags.append(http.get(url).headers["ETag"])
    assert len(set(tags)) == 4
    assert http.get(url, headers={"If-None-Match": tags[0]}).status_code == 200


def test_a_long_poll_answers_when_there_is_news(
    app: Any, http: FlaskClient, services: Services, database: Database, raw_spec: Raw
) -> None:
    job = _post(http, raw_spec)
    url = f"{URL}/{job.id}"
    tag = http.get(url).headers["ETag"]
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(http.get(f"{url}?wait=30", headers={"If-None-Match": tag})))
    waiter.start()
    deadline = time.monotonic() + 20
    while services.followers._value == 48 and time.monotonic() < deadline:
        waiter.join(0.01)
    assert waiter.is_alive()
    with database.write() as session:
        actions.cancel(session, job.id)
    waiter.join(20)
    assert not waiter.is_alive()
    assert answers[0].status_code == 200
    assert answers[0].json["state"] == "cancelled"


def test_a_long_poll_does_not_wait_for_nothing(
    http: FlaskClient, services: Services, database: Database, raw_spec: Raw
) -> None:
    job = _post(http, raw_spec)
    url = f"{URL}/{job.id}"
    tag = http.get(url).headers["ETag"]
    for known in (tag, f"W/{tag}"):
        assert http.get(f"{url}?wait=1", headers={"If-None-Match": known}).status_code == 304
    assert http.get(f"{url}?wait=60", headers={"If-None-Match": '"older"'}).status_code == 200
    while services.followers.acquire(blocking=False):
        pass
    assert http.get(f"{url}?wait=60", headers={"If-None-Match": tag}).status_code == 304, "too many wait already"
    services.followers.release()
    http.post(f"{url}/cancel")
    ended = http.get(url).headers["ETag"]
    assert http.get(f"{url}?wait=60", headers={"If-None-Match": ended}).status_code == 304, "nothing will come"
    assert http.get(f"{url}?wait=61").status_code == 422


def test_cancel_then_delete(
    http: FlaskClient, database: Database, raw_spec: Raw, take: Callable[[], ClaimedJob]
) -> None:
    job = _post(http, raw_spec)
    url = f"{URL}/{job.id}"
    claimed = take()
    refused = http.delete(url)
    assert (refused.status_code, Problem.model_validate_json(refused.data).code) == (409, "job_not_ended")
    first, second = http.post(f"{url}/cancel"), http.post(f"{url}/cancel")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.data == second.data
    assert JobView.model_validate_json(first.data).cancel_requested_at is not None
    with database.write() as session:
        assert leases.finish(session, claimed.lease, Reason.COMPLETED, "it had just ended")
    late = http.post(f"{url}/cancel")
    assert (late.status_code, Problem.model_validate_json(late.data).code) == (409, "job_ended")
    assert http.delete(url).status_code == 204
    assert http.get(url).status_code == 404


def _train(database: Database, claimed: ClaimedJob, losses: list[tuple[float, float | None]]) -> None:
    for epoch, (training, validation) in enumerate(losses, start=1):
        logs = {"loss": training} | ({} if validation is None else {"val_loss": validation})
        record = recording.EpochRecord(
            epoch=epoch, logs=logs, learning_rate=0.001, next_learning_rate=0.001, seconds=1.0, steps=10
        )
        with database.write() as session:
            recording.record_epoch(session, claimed.lease, record)


def test_a_job_is_diagnosed_while_it_trains_in_the_readers_language(
    http: FlaskClient, database: Database, raw_spec: Raw, take: Callable[[], ClaimedJob]
) -> None:
    url = f"{URL}/{_post(http, {**raw_spec, 'fit': {'epochs': 20}}).id}"
    assert JobView.model_validate_json(http.get(url).data).diagnosis is None
    _train(database, take(), [(1 / epoch, 0.5) for epoch in range(1, 9)])
    english = http.get(url)
    found = JobView.model_validate_json(english.data).diagnosis
    assert found is not None
    assert (found.verdict, found.first_epoch, found.last_epoch) == ("overfitting", 4, 8)
    assert [each.trend for each in found.movements] == ["falling", "flat"]
    assert (english.headers["Content-Language"], english.headers["Vary"]) == ("en", "Accept-Language")

    for wanted, language in (("zh", "zh"), ("zh-CN,zh;q=0.9,en;q=0.5", "zh"), ("fr, zh;q=0.1", "zh"), ("fr", "en")):
        answer = http.get(url, headers={"Accept-Language": wanted})
        assert answer.headers["Content-Language"] == language
        assert ("过拟合" in answer.text) == (language == "zh")
        other = http.get(url, headers={"Accept-Language": wanted, "If-None-Match": english.headers["ETag"]})
        assert other.status_code == (200 if language == "zh" else 304)


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([(1.0, 1.0)], "too_early"),
        ([(1 / epoch, None) for epoch in range(1, 9)], "no_validation"),
        ([(1 / epoch, 0.5 if epoch % 2 else None) for epoch in range(1, 12)], "overfitting"),
        ([(0.5, 0.5), (float("nan"), float("nan"))], "diverging"),
        ([(0.5, 0.5), (0.5, float("nan"))], "diverging"),
        ([(0.5, float("inf"))], "diverging"),
    ],
)
def test_what_is_stored_is_what_is_diagnosed(
    http: FlaskClient,
    database: Database,
    raw_spec: Raw,
    take: Callable[[], ClaimedJob],
    losses: list[tuple[float, float | None]],
    verdict: str,
) -> None:
    url = f"{URL}/{_post(http, {**raw_spec, 'fit': {'epochs': 20}}).id}"
    _train(database, take(), losses)
    found = JobView.model_validate_json(http.get(url).data).diagnosis
    assert found is not None
    assert found.verdict == verdict
