"""Who may ask what: bearer tokens, and the cookie of a browser."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.api.authentication import is_open
from service.db import Database
from service.store import tokens

OPEN = {
    ("GET", "/healthz"): 200,
    ("HEAD", "/healthz"): 200,
    ("GET", "/api/v1/job.schema.json"): 200,
    ("HEAD", "/api/v1/job.schema.json"): 200,
    ("GET", "/login"): 200,
    ("HEAD", "/login"): 200,
    ("POST", "/login"): 403,  # its form comes from an own page
    ("GET", "/assets/v/n"): 404,
    ("HEAD", "/assets/v/n"): 404,
}
"""What is answered without a token, and with which status."""


def _routes(app: Flask) -> list[tuple[str, str]]:
    return [
        (
            method,
            rule.rule.replace("<job_id>", "job_1")
            .replace("<name>", "n")
            .replace("<version>", "v")
            .replace("<reference>", "r"),
        )
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


def test_every_route_but_healthz_requires_a_token(app: Flask, stranger: FlaskClient) -> None:
    routes = _routes(app)
    assert len(routes) > 25
    for method, path in [*routes, ("GET", "/no/such/thing"), ("PATCH", "/api/v1/jobs")]:
        response = stranger.open(path, method=method)
        if is_open(path):
            assert response.status_code == OPEN[method, path]
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


def test_the_page_of_the_api_loads_nothing_from_other_servers(http: FlaskClient, token: str) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (page.headers["X-Frame-Options"], page.headers["Referrer-Policy"]) == ("DENY", "same-origin")
    assert token not in page.text
    assert "//" not in page.text.replace("<!doctype", "")
    script = http.get("/docs/scalar.js")
    assert script.mimetype == "text/javascript"
    assert len(script.data) > 100_000
    assert http.get("/api/v1/openapi.json").status_code == 200
