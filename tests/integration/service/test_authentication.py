"""Who may ask what: bearer tokens, and the cookie of a browser."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.db import Database
from service.store import tokens


def _routes(app: Flask) -> list[tuple[str, str]]:
    return [
        (method, rule.rule.replace("<job_id>", "job_1").replace("<name>", "n").replace("<reference>", "r"))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


def test_every_route_but_healthz_requires_a_token(app: Flask, stranger: FlaskClient) -> None:
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
def test_an_invalid_token_is_401(stranger: FlaskClient, header: str) -> None:
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


def test_a_browser_gets_a_cookie_with_which_it_can_only_read(app: Flask, token: str) -> None:
    browser = app.test_client()
    assert browser.get("/docs").status_code == 401
    assert browser.get("/docs?token=wrong").status_code == 401
    assert browser.get(f"/api/v1/jobs?token={token}").status_code == 401, "only /docs accepts a token in its address"
    logged_in = browser.get(f"/docs?token={token}")
    assert (logged_in.status_code, logged_in.headers["Location"]) == (302, "/docs")
    cookie = logged_in.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    page = browser.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (page.headers["X-Frame-Options"], page.headers["Referrer-Policy"]) == ("DENY", "no-referrer")
    assert token not in page.text
    assert "//" not in page.text.replace("<!doctype", ""), "the page loads nothing from other servers"
    script = browser.get("/docs/scalar.js")
    assert script.mimetype == "text/javascript"
    assert len(script.data) > 100_000
    assert browser.get("/api/v1/openapi.json").status_code == 200
    assert browser.post("/api/v1/jobs", json={}).status_code == 401
    assert browser.delete("/api/v1/jobs/job_1").status_code == 401
