"""What holds of every request."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.errors import DatabaseUnavailable
from fitqueue.views import Problem
from service.api.context import Services
from service.app import create_app
from service.db import Database
from service.settings import Settings
from service.store import tokens


def _routes(app: Flask) -> list[tuple[str, str]]:
    return [
        (method, rule.rule.replace("<job_id>", "job_1").replace("<name>", "n").replace("<reference>", "r"))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


def test_everything_but_health_needs_a_token(app: Flask, stranger: FlaskClient) -> None:
    routes = _routes(app)
    assert len(routes) > 25
    for method, path in [*routes, ("GET", "/no/such/thing"), ("PATCH", "/api/v1/jobs")]:
        response = stranger.open(path, method=method)
        if path == "/healthz":
            assert response.status_code == 200
            continue
        assert response.status_code == 401, f"{method} {path}"
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header", ["Bearer fq_wrong", "Bearer ", "Basic Zm9vOmJhcg==", "fq_wrong", "Bearer \udce4", "bearer"]
)
def test_other_tokens_are_refused(stranger: FlaskClient, header: str) -> None:
    response = stranger.get(
        "/api/v1/jobs", headers={"Authorization": header.encode("utf-8", "surrogateescape").decode("latin-1")}
    )
    assert response.status_code == 401
    assert response.json is not None
    assert response.json["code"] == "unauthenticated"


def test_a_revoked_token_is_refused_at_once(database: Database, http: FlaskClient, token: str) -> None:
    assert http.get("/api/v1/jobs").status_code == 200
    with database.write() as session:
        token_id = tokens.verify(session, token)
        assert token_id is not None
        tokens.revoke(session, token_id)
    assert http.get("/api/v1/jobs").status_code == 401


def test_a_browser_gets_a_cookie_that_can_only_read(app: Flask, token: str) -> None:
    browser = app.test_client()
    assert browser.get("/docs").status_code == 401
    assert browser.get("/docs?token=wrong").status_code == 401
    assert browser.get(f"/api/v1/jobs?token={token}").status_code == 401, "only the docs page takes it so"
    entered = browser.get(f"/docs?token={token}")
    assert (entered.status_code, entered.headers["Location"]) == (302, "/docs")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    page = browser.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (page.headers["X-Frame-Options"], page.headers["Referrer-Policy"]) == ("DENY", "no-referrer")
    assert token not in page.text
    assert "//" not in page.text.replace("<!doctype", ""), "the page asks no other server"
    script = browser.get("/docs/scalar.js")
    assert script.mimetype == "text/javascript"
    assert len(script.data) > 100_000
    assert browser.get("/api/v1/openapi.json").status_code == 200
    assert browser.post("/api/v1/jobs", json={}).status_code == 401
    assert browser.delete("/api/v1/jobs/job_1").status_code == 401


def test_every_answer_has_a_request_id(http: FlaskClient, stranger: FlaskClient) -> None:
    given = http.get("/api/v1/jobs", headers={"X-Request-Id": "abc-DEF_123.4"})
    assert given.headers["X-Request-Id"] == "abc-DEF_123.4"
    for bad in ("short", "x" * 65, "has space in it", 'quote"quote"'):
        made = http.get("/api/v1/jobs", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert made != bad
        assert len(made) == 32
    refused = stranger.get("/api/v1/jobs")
    assert refused.json is not None
    assert refused.json["request_id"] == refused.headers["X-Request-Id"]


def test_log_lines_carry_the_request_id_and_no_token(http: FlaskClient, token: str, log_lines: list[str]) -> None:
    http.get("/api/v1/jobs", headers={"X-Request-Id": "request-1"})
    http.get(f"/docs?token={token}")
    first = json.loads(log_lines[0])
    assert (first["request_id"], first["method"], first["path"], first["status"]) == (
        "request-1",
        "GET",
        "/api/v1/jobs",
        200,
    )
    assert token not in "".join(log_lines)


def test_the_line_of_a_new_job_has_its_id_and_the_request_s(
    http: FlaskClient, raw_spec: dict[str, Any], log_lines: list[str]
) -> None:
    answer = http.post("/api/v1/jobs", json=raw_spec, headers={"X-Request-Id": "request-1"})
    assert answer.json is not None
    lines = [json.loads(line) for line in log_lines]
    [stored] = [line for line in lines if line["message"] == "A job was stored."]
    assert (stored["job"], stored["request_id"]) == (answer.json["id"], "request-1")
    assert {line["request_id"] for line in lines} == {"request-1"}, "the bell's failure is told with it, too"
    assert len(lines) == 3


def test_the_lines_of_a_failure_carry_the_request_id_that_the_client_is_told(
    http: FlaskClient, log_lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("service.api.workers.workers.list_all", fail)
    problem = Problem.model_validate_json(http.get("/api/v1/workers").data)
    [failure] = [line for line in map(json.loads, log_lines) if "exception" in line]
    assert failure["request_id"] == problem.request_id
    assert "the secret of the house" in failure["exception"]


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


def test_what_fails_unforeseen_says_nothing_of_its_insides(
    app: Flask, http: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("service.api.workers.workers.list_all", fail)
    response = http.get("/api/v1/workers")
    assert response.status_code == 500
    assert Problem.model_validate_json(response.data).code == "internal_server_error"
    assert "secret" not in response.text
    assert "the secret of the house" in caplog.text


def test_a_database_that_is_down_is_503(
    services: Services, http: FlaskClient, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(Database, "read", fail)
    response = http.get("/api/v1/jobs")
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert Problem.model_validate_json(response.data).code == "database_unavailable"
    assert stranger.get("/healthz").status_code == 200


def test_readiness_tells_each_part(services: Services, http: FlaskClient) -> None:
    response = http.get("/readyz")
    assert response.json is not None
    parts = response.json["parts"]
    assert (response.status_code, parts["database"], parts["store"]) == (200, "ok", "ok")
    assert "Connect" in parts["queue"] or "refused" in parts["queue"]


def test_a_dead_redis_and_a_missing_checker_are_told_and_refuse_nothing(http: FlaskClient) -> None:
    response = http.get("/readyz")
    assert response.json is not None
    assert (response.status_code, response.json["ready"]) == (200, True)
    assert set(response.json["parts"]) == {"database", "store", "queue", "checker"}
    assert "refused" in response.json["parts"]["queue"]
    assert response.json["parts"]["checker"] == "there is none"


def test_a_store_that_cannot_be_written_is_not_ready(http: FlaskClient, settings: Settings) -> None:
    settings.store.write_text("no folder can be made in a file")
    response = http.get("/readyz")
    assert response.json is not None
    assert (response.status_code, response.json["ready"], response.json["parts"]["database"]) == (503, False, "ok")
    assert response.json["parts"]["store"] != "ok"


def test_no_readiness_without_a_database_but_its_name(settings: Settings, token: str, tmp_path: Path) -> None:
    """No token can be checked then, so nobody is told of the other parts."""
    (tmp_path / "broken.db").write_text("This is no database, and longer than the header of one would be. " * 9)
    app = create_app(settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/broken.db"}))
    response = app.test_client().get("/readyz", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 503
    assert Problem.model_validate_json(response.data).code == "database_unavailable"


def test_tables_of_another_version_are_not_ready(database: Database, http: FlaskClient) -> None:
    from sqlalchemy import text

    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    response = http.get("/readyz")
    assert response.status_code == 503
    assert "fitqueue migrate" in response.text


def test_the_catalogue_is_answered_once(http: FlaskClient) -> None:
    response = http.get("/api/v1/catalogue")
    assert response.json is not None
    assert "Dense" in response.text
    again = http.get("/api/v1/catalogue", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""
