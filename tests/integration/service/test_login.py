"""Browsers: how they log in, what their cookie allows, and what other sites' pages cannot do with it."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from service import clock
from service.db import Database
from service.models import Job, LoginLink, LoginSession
from service.store import tokens
from tests.integration.fixture_types import Submit

ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A client that keeps cookies, as a browser does, and asks for pages."""
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    return client


def _log_in(browser: FlaskClient, token: str, **fields: str) -> TestResponse:
    return browser.post("/login", data={"token": token, **fields}, headers=ORIGIN)


# --- Logging in and out -----------------------------------------------------------------------------------------------


def test_a_browser_that_is_not_logged_in_is_sent_to_the_login(browser: FlaskClient, token: str) -> None:
    answer = browser.get("/jobs/job_1?x=time")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login?next=/jobs/job_1%3Fx%3Dtime")
    form = browser.get(answer.headers["Location"])
    assert 'value="/jobs/job_1?x=time"' in form.text
    logged_in = _log_in(browser, token, next="/jobs/job_1?x=time")
    assert (logged_in.status_code, logged_in.headers["Location"]) == (303, "/jobs/job_1?x=time")
    assert browser.get("/").status_code == 200


def test_programs_are_not_sent_to_the_login(stranger: FlaskClient) -> None:
    for path, accept in (("/", "*/*"), ("/api/v1/jobs", "text/html"), ("/metrics", "text/html")):
        assert stranger.get(path, headers={"Accept": accept}).status_code == 401


def test_the_cookie_is_hidden_from_scripts_and_only_its_hash_is_stored(
    browser: FlaskClient, token: str, database: Database
) -> None:
    cookie = _log_in(browser, token).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert f"Max-Age={400 * 86_400}" in cookie, "a session that is used does not end before"
    assert "Secure" not in cookie, "this client does not speak TLS"
    secret = cookie.split(";")[0].split("=", 1)[1]
    assert token not in cookie
    with database.read() as session:
        row = session.scalars(select(LoginSession)).one()
        assert secret not in (row.sha256, row.token_id)


def test_the_cookie_is_secure_over_tls(app: Flask, token: str) -> None:
    browser = app.test_client()
    answer = browser.post(
        "/login", data={"token": token}, base_url="https://fit.example", headers={"Origin": "https://fit.example"}
    )
    assert "Secure" in answer.headers["Set-Cookie"]


def test_services_on_two_ports_of_a_host_have_two_cookies(browser: FlaskClient, token: str) -> None:
    names = set()
    for port in (8765, 8766):
        origin = f"http://localhost:{port}"
        answer = browser.post("/login", data={"token": token}, base_url=origin, headers={"Origin": origin})
        names.add(answer.headers["Set-Cookie"].split("=")[0])
    assert len(names) == 2


@pytest.mark.parametrize("sent", ["", "fq_wrong", "fq_" + "x" * 10_000, "\udce4".encode("utf-8", "replace").decode()])
def test_a_wrong_token_does_not_log_in(browser: FlaskClient, sent: str) -> None:
    answer = _log_in(browser, sent)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "Set-Cookie" not in answer.headers


def test_logging_out_ends_the_session(browser: FlaskClient, token: str, database: Database) -> None:
    _log_in(browser, token)
    answer = browser.post("/logout", headers=ORIGIN)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")
    assert browser.get("/").status_code == 302
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginSession)) == 0


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "/a\nb", "javascript:alert(1)", ""]
)
def test_a_login_leads_to_no_other_site(browser: FlaskClient, token: str, target: str) -> None:
    assert _log_in(browser, token, next=target).headers["Location"] == "/"


# --- How a session ends -----------------------------------------------------------------------------------------------


def test_a_session_ends_with_its_token(browser: FlaskClient, token: str, database: Database) -> None:
    _log_in(browser, token)
    with database.write() as session:
        token_id = tokens.verify(session, token)
        assert token_id is not None
        tokens.revoke(session, token_id)
    assert browser.get("/api/v1/jobs").status_code == 401


def _age(database: Database, age: timedelta) -> None:
    with database.write() as session:
        session.execute(update(LoginSession).values(last_used_at=clock.now(session) - age))


def test_a_session_that_nobody_uses_ends(browser: FlaskClient, token: str, database: Database) -> None:
    _log_in(browser, token)
    _age(database, timedelta(days=13))
    assert browser.get("/").status_code == 200, "and this use counts"
    with database.read() as session:
        [row] = session.scalars(select(LoginSession))
        assert clock.now(session) - row.last_used_at < timedelta(minutes=5)
    _age(database, timedelta(days=15))
    assert browser.get("/").status_code == 302
    _log_in(browser, token)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginSession)) == 1, "the old one was deleted"


# --- Links that log in once -------------------------------------------------------------------------------------------


def _link(http: FlaskClient) -> str:
    answer = http.post("/api/v1/login-links")
    assert answer.status_code == 201
    assert answer.json is not None
    parts = urlsplit(answer.json["url"])
    assert (parts.scheme, parts.netloc, parts.path) == ("http", "localhost", "/login")
    return f"{parts.path}?{parts.query}"


def test_a_link_logs_in_once(browser: FlaskClient, app: Flask, http: FlaskClient) -> None:
    link = _link(http)
    answer = browser.get(f"{link}&next=/jobs/job_1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs/job_1"), "it does not stay in the address"
    assert browser.get("/").status_code == 200
    second = app.test_client().get(link)
    assert second.status_code == 401
    assert "Set-Cookie" not in second.headers


def test_an_old_link_does_not_log_in(browser: FlaskClient, http: FlaskClient, database: Database) -> None:
    link = _link(http)
    with database.write() as session:
        session.execute(update(LoginLink).values(expires_at=clock.now(session) - timedelta(seconds=1)))
    assert browser.get(link).status_code == 401


def test_a_link_of_a_revoked_token_does_not_log_in(
    browser: FlaskClient, http: FlaskClient, token: str, database: Database
) -> None:
    link = _link(http)
    with database.write() as session:
        token_id = tokens.verify(session, token)
        assert token_id is not None
        tokens.revoke(session, token_id)
    assert browser.get(link).status_code == 401


def test_old_links_are_deleted_when_one_is_created(http: FlaskClient, token: str, database: Database) -> None:
    _link(http)
    with database.write() as session:
        session.execute(update(LoginLink).values(expires_at=clock.now(session) - timedelta(seconds=1)))
    _link(http)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginLink)) == 1


def test_no_secret_of_a_login_is_logged(
    browser: FlaskClient, http: FlaskClient, token: str, log_lines: list[str]
) -> None:
    link = _link(http)
    browser.get(link)
    cookie = _log_in(browser, token).headers["Set-Cookie"].split(";")[0].split("=", 1)[1]
    browser.get("/")
    logged = "".join(log_lines)
    assert "/login" in logged
    for secret in (link.partition("=")[2], cookie, token):
        assert secret not in logged


# --- Writes by cookie -------------------------------------------------------------------------------------------------


def _state(database: Database, job_id: str) -> str:
    with database.read() as session:
        return str(session.scalar(select(Job.state).where(Job.id == job_id)))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
        {"Referer": "http://localhost/"},
    ],
)
def test_a_write_by_cookie_from_another_site_changes_nothing(
    browser: FlaskClient, token: str, database: Database, submit: Submit, headers: dict[str, str]
) -> None:
    job_id = submit()
    _log_in(browser, token)
    for method, path in (("POST", f"/api/v1/jobs/{job_id}/cancel"), ("POST", "/logout")):
        answer = browser.open(path, method=method, headers=headers)
        assert answer.status_code == 403
        assert answer.json is not None
        assert answer.json["code"] == "cross_site"
    assert _state(database, job_id) == "queued"
    assert browser.get("/").status_code == 200, "still logged in"


def test_another_site_cannot_log_a_browser_in(browser: FlaskClient, token: str) -> None:
    answer = browser.post("/login", data={"token": token}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_write_by_cookie_from_an_own_page_works(
    browser: FlaskClient, token: str, database: Database, submit: Submit
) -> None:
    job_id = submit()
    _log_in(browser, token)
    answer = browser.post(f"/api/v1/jobs/{job_id}/cancel", headers={**ORIGIN, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 202
    assert _state(database, job_id) == "cancelled"


def test_a_bearer_token_needs_no_origin(http: FlaskClient, submit: Submit) -> None:
    assert http.post(f"/api/v1/jobs/{submit()}/cancel", headers={"Origin": "http://evil.example"}).status_code == 202
