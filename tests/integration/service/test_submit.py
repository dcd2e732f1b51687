"""Submitting jobs over HTTP."""

import errno
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.states import JobState
from fitqueue.views import DryRun, JobView, Problem
from service.api.context import EXTENSION, Services
from service.check_queue import CheckQueue
from service.db import Database
from service.queue import Notifier
from service.store import job_list
from tests.integration.service.npz import npz

RawSpec = dict[str, Any]
URL = "/api/v1/jobs"


def _count_jobs(database: Database) -> int:
    with database.read() as session:
        return len(job_list.list_page(session, job_list.Filter(), None, 100)[0])


def test_a_job_is_accepted_while_redis_is_down(http: FlaskClient, raw_spec: RawSpec) -> None:
    response = http.post(URL, json={**raw_spec, "name": "digits", "labels": {"a": "b"}})
    assert response.status_code == 201
    job = JobView.model_validate_json(response.data)
    assert response.headers["Location"] == f"{URL}/{job.id}"
    assert (job.state, job.name, job.labels) == (JobState.QUEUED, "digits", {"a": "b"})
    assert job.spec["fit"]["batch_size"] == 32, "defaults are filled in"
    assert job.queue is not None
    assert job.queue.position == 1
    assert job.queue.waiting_for == "a worker that serves the pool 'default'; none is alive"
    assert JobView.model_validate_json(http.get(response.headers["Location"]).data) == job


def test_a_dry_run_stores_nothing(http: FlaskClient, database: Database, raw_spec: RawSpec) -> None:
    response = http.post(f"{URL}?dry_run=true", json=raw_spec)
    assert response.status_code == 200
    assert DryRun.model_validate_json(response.data).spec["fit"]["epochs"] == 5
    assert _count_jobs(database) == 0


# --- Invalid bodies ---------------------------------------------------------------------------------------------------


def test_an_invalid_job_is_422_with_all_faults_and_is_not_stored(
    http: FlaskClient, database: Database, raw_spec: RawSpec
) -> None:
    raw_spec["fit"]["epochs"] = "five"
    raw_spec["data"]["dataset"] = "nowhere"
    raw_spec["colour"] = "red"
    for query in ("", "?dry_run=true"):
        response = http.post(URL + query, json=raw_spec)
        problem = Problem.model_validate_json(response.data)
        assert (response.status_code, problem.code) == (422, "invalid_spec")
        assert {"/fit/epochs", "/data/dataset", "/colour"} <= {fault.pointer for fault in problem.errors}
    assert _count_jobs(database) == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 50_000, b'{"a": 1e999}', b"\xff", b'{"a": "\\u0000"}'],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_not_strict_json_is_400(http: FlaskClient, database: Database, body: bytes) -> None:
    response = http.post(URL, data=body, content_type="application/json")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (400, "malformed_json")
    assert _count_jobs(database) == 0


@pytest.mark.parametrize("body", ["[]", "1", "null", '"text"', "{}"])
def test_json_that_is_not_a_job_is_422(http: FlaskClient, body: str) -> None:
    response = http.post(URL, data=body, content_type="application/json")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_spec")


def test_other_content_types_are_415_and_large_bodies_413(http: FlaskClient, raw_spec: RawSpec) -> None:
    form = http.post(URL, data={"a": "b"})
    assert (form.status_code, Problem.model_validate_json(form.data).code) == (415, "unsupported_media_type")
    large = http.post(URL, data=json.dumps(raw_spec) + " " * 100_000, content_type="application/json")
    assert (large.status_code, Problem.model_validate_json(large.data).code) == (413, "body_too_large")
    assert large.headers["Connection"] == "close"


# --- Idempotency ------------------------------------------------------------------------------------------------------


def test_the_same_idempotency_key_returns_the_same_job(
    http: FlaskClient, database: Database, raw_spec: RawSpec
) -> None:
    first = http.post(URL, json=raw_spec, headers={"Idempotency-Key": "k-1"})
    assert first.status_code == 201, first.text
    again = http.post(URL, json=dict(reversed(raw_spec.items())), headers={"Idempotency-Key": "k-1"})
    assert again.status_code == 201
    assert (again.json or {})["id"] == (first.json or {})["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    other = http.post(URL, json={**raw_spec, "priority": 1}, headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, Problem.model_validate_json(other.data).code) == (422, "idempotency_mismatch")
    assert _count_jobs(database) == 1
    for invalid_key in ("", "x" * 256, "ä"):
        response = http.post(URL, json=raw_spec, headers={"Idempotency-Key": invalid_key})
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_request")


# --- While a job is checked -------------------------------------------------------------------------------------------


class FakeChecker:
    """A checker that accepts every job, and calls a function meanwhile."""

    def __init__(self, during_check: Callable[[], object]) -> None:
        self._during_check = during_check

    def check(self, request: ModelCheckRequest) -> ModelCheckResult:
        self._during_check()
        return ModelCheckResult()


@pytest.fixture
def call_during_check(app: Flask, services: Services) -> Callable[..., None]:
    """A function that arranges for another one to be called while a job is checked."""

    def arrange(during_check: Callable[[], object], **other_services: Any) -> None:
        app.extensions[EXTENSION] = replace(services, checker=FakeChecker(during_check), **other_services)

    return arrange


def test_concurrent_requests_with_the_same_key_create_and_notify_once(
    http: FlaskClient, raw_spec: RawSpec, redis_url: str, call_during_check: Callable[..., None]
) -> None:
    """One request creates the job and notifies the workers; the others are answered as replays."""
    call_during_check(threading.Barrier(8, timeout=60).wait, notifier=Notifier(redis_url))
    with ThreadPoolExecutor(8) as threads:
        requests = [threads.submit(http.post, URL, json=raw_spec, headers={"Idempotency-Key": "k"}) for _ in range(8)]
    answers = [request.result() for request in requests]
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sorted(answer.headers.get("Idempotency-Replayed", "") for answer in answers) == ["", *["true"] * 7]
    assert redis.Redis.from_url(redis_url).llen("fitqueue.default") == 1


def test_an_error_of_the_system_that_is_not_the_storages_is_not_blamed_on_it(
    http: FlaskClient, raw_spec: RawSpec, call_during_check: Callable[..., None]
) -> None:
    def fail() -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    call_during_check(fail)
    response = http.post(URL, json=raw_spec)
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (500, "internal_server_error")


def test_a_job_whose_data_set_is_deleted_during_its_check_is_422(
    http: FlaskClient, database: Database, raw_spec: RawSpec, call_during_check: Callable[..., None]
) -> None:
    content = npz(x_train=np.zeros((20, 8, 8), "float32"), y_train=np.zeros(20, "int64"))
    assert http.post("/api/v1/datasets?name=mine", data=content).status_code == 201
    raw_spec["data"]["dataset"] = "mine"
    call_during_check(lambda: http.delete("/api/v1/datasets/mine"))
    response = http.post(URL, json=raw_spec)
    problem = Problem.model_validate_json(response.data)
    assert (response.status_code, problem.code) == (422, "invalid_spec")
    assert [(fault.pointer, fault.code) for fault in problem.errors] == [("/data/dataset", "unknown_dataset")]
    assert _count_jobs(database) == 0


# --- While too many jobs are checked ----------------------------------------------------------------------------------


@pytest.fixture
def busy(
    http: FlaskClient, raw_spec: RawSpec, services: Services, call_during_check: Callable[..., None]
) -> Iterator[None]:
    """The model checker has as many jobs of the client's token as it takes, and one more would wait for them."""
    started, may_end = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        started.release()
        assert may_end.wait(120)

    call_during_check(wait, check_queue=CheckQueue(limit=3, limit_per_user=2))
    with ThreadPoolExecutor(2) as threads:
        checked = [threads.submit(http.post, f"{URL}?dry_run=true", json=raw_spec) for _ in range(2)]
        for _ in checked:
            assert started.acquire(timeout=60)
        yield
        may_end.set()
        assert [request.result().status_code for request in checked] == [200, 200]


@pytest.mark.usefixtures("busy")
def test_a_dry_run_is_refused_at_once(http: FlaskClient, raw_spec: RawSpec) -> None:
    response = http.post(f"{URL}?dry_run=true", json=raw_spec)
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (503, "checker_busy")
    assert response.headers["Retry-After"] == "1"


@pytest.mark.usefixtures("busy")
def test_a_job_is_accepted_unchecked_at_once(http: FlaskClient, raw_spec: RawSpec) -> None:
    response = http.post(URL, json=raw_spec)
    assert response.status_code == 201
    assert "unchecked" in [notice["code"] for notice in response.json["notices"]]


@pytest.mark.usefixtures("busy")
def test_our_own_rules_are_checked_all_the_same(http: FlaskClient, raw_spec: RawSpec) -> None:
    response = http.post(URL, json={**raw_spec, "fit": {"epochs": -1}})
    assert response.status_code == 422
