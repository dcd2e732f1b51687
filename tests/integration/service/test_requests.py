"""What holds for every request: its id, its log lines, and its errors."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.errors import DatabaseUnavailable
from fitqueue.views import Problem
from service.db import Database

# --- Request ids and log lines ----------------------------------------------------------------------------------------


def test_every_answer_has_a_request_id(http: FlaskClient, stranger: FlaskClient) -> None:
    answer = http.get("/api/v1/jobs", headers={"X-Request-Id": "abc-DEF_123.4"})
    assert answer.headers["X-Request-Id"] == "abc-DEF_123.4"
    for invalid in ("short", "x" * 65, "has space in it", 'quote"quote"'):
        request_id = http.get("/api/v1/jobs", headers={"X-Request-Id": invalid}).headers["X-Request-Id"]
        assert request_id != invalid
        assert len(request_id) == 32
    refused = stranger.get("/api/v1/jobs")
    assert refused.json is not None
    assert refused.json["request_id"] == refused.headers["X-Request-Id"]


def test_log_lines_have_the_request_id_and_no_token(http: FlaskClient, token: str, log_lines: list[str]) -> None:
    http.get("/api/v1/jobs", headers={"X-Request-Id": "request-1"})
    first = json.loads(log_lines[0])
    assert (first["request_id"], first["method"], first["path"], first["status"]) == (
        "request-1",
        "GET",
        "/api/v1/jobs",
        200,
    )
    assert token not in "".join(log_lines)


def test_the_log_line_of_a_new_job_has_its_id_and_that_of_the_request(
    http: FlaskClient, raw_spec: dict[str, Any], log_lines: list[str]
) -> None:
    answer = http.post("/api/v1/jobs", json=raw_spec, headers={"X-Request-Id": "request-1"})
    assert answer.json is not None
    lines = [json.loads(line) for line in log_lines]
    [stored] = [line for line in lines if line["message"] == "A job was stored."]
    assert (stored["job"], stored["request_id"]) == (answer.json["id"], "request-1")
    assert {line["request_id"] for line in lines} == {"request-1"}, "the failed notification has it, too"
    assert len(lines) == 3


def _raise_secret(*_: Any, **__: Any) -> None:
    raise RuntimeError("the secret of the house")


def test_the_log_line_of_a_failure_has_the_request_id_of_the_answer(
    http: FlaskClient, log_lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.workers.workers.list_all", _raise_secret)
    problem = Problem.model_validate_json(http.get("/api/v1/workers").data)
    [failure] = [line for line in map(json.loads, log_lines) if "exception" in line]
    assert failure["request_id"] == problem.request_id
    assert "the secret of the house" in failure["exception"]


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/jobs/", 404, "not_found"),
        ("GET", "/api/v1/jobs/job_none", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/metrics", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/metrics?format=csv", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/events", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/events?follow=true", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/logs?tail=3", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/logs?follow=true", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/checkpoints", 404, "job_not_found"),
        ("GET", "/api/v1/jobs/job_none/weights/best", 404, "job_not_found"),
        ("POST", "/api/v1/jobs/job_none/cancel", 404, "job_not_found"),
        ("DELETE", "/api/v1/jobs/job_none", 404, "job_not_found"),
        ("GET", "/api/v1/datasets/none", 404, "dataset_not_found"),
        ("DELETE", "/api/v1/datasets/none", 404, "dataset_not_found"),
        ("PUT", "/api/v1/jobs", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/api/v1/jobs?limit=0", 422, "invalid_request"),
        ("GET", "/api/v1/jobs?limit=many", 422, "invalid_request"),
        ("GET", "/api/v1/jobs?state=done", 422, "invalid_request"),
        ("GET", "/api/v1/jobs?colour=red", 422, "invalid_request"),
        ("GET", "/api/v1/jobs?name=%00", 422, "invalid_request"),
        ("GET", "/api/v1/jobs/%00", 422, "invalid_request"),
        ("GET", "/api/v1/jobs/job_1/events?after=-1", 422, "invalid_request"),
        ("GET", "/api/v1/jobs/job_1/events?after=99999999999999999999", 422, "invalid_request"),
    ],
)
def test_errors_are_problem_documents(http: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    response = http.open(path, method=method)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    document = Problem.model_validate_json(response.data)
    assert (document.status, document.code) == (status, code)
    assert document.detail
    if status == 405:
        assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("method", "address", "parameter", "words"),
    [
        ("GET", "/api/v1/jobs?state=done", "state", "'queued'"),
        ("GET", "/api/v1/jobs?label=team", "label", "team=vision"),
        ("GET", "/api/v1/jobs?name=%00", "name", "NUL"),
        ("POST", "/api/v1/datasets?name=a%20b", "name", "letters, digits"),
    ],
)
def test_an_invalid_parameter_is_named_and_described_in_words(
    http: FlaskClient, method: str, address: str, parameter: str, words: str
) -> None:
    [fault] = Problem.model_validate_json(http.open(address, method=method).data).errors
    assert fault.pointer == parameter
    assert words in fault.message
    assert not set("^$[*") & set(fault.message)


def test_an_unexpected_error_does_not_reveal_anything(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.api.workers.workers.list_all", _raise_secret)
    response = http.get("/api/v1/workers")
    assert response.status_code == 500
    assert Problem.model_validate_json(response.data).code == "internal_server_error"
    assert "secret" not in response.text
    assert "the secret of the house" in caplog.text


def test_a_database_that_is_down_is_503(
    http: FlaskClient, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(Database, "read", fail)
    response = http.get("/api/v1/jobs")
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert Problem.model_validate_json(response.data).code == "database_unavailable"
    assert stranger.get("/healthz").status_code == 200


# --- The catalogue ----------------------------------------------------------------------------------------------------


def test_the_catalogue_is_sent_only_if_it_has_changed(http: FlaskClient) -> None:
    response = http.get("/api/v1/catalogue")
    assert response.json is not None
    assert "Dense" in response.text
    again = http.get("/api/v1/catalogue", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""
