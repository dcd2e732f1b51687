"""The description of the API is right, and the API is as it is described."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.app import create_app
from service.db import Database
from service.migrate import upgrade
from service.settings import Settings
from service.store import tokens


def _described(http: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/api/v1/openapi.json").json or {}
    return found


def test_every_route_is_described(app: Flask, http: FlaskClient) -> None:
    described = {(method.upper(), path) for path, item in _described(http)["paths"].items() for method in item}
    routed = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    for_people = {("GET", path) for path in ("/", "/docs", "/docs/scalar.js", "/api/v1/openapi.json")}
    assert described == routed - for_people


def test_every_operation_says_what_it_does_and_how_it_fails(http: FlaskClient) -> None:
    description = _described(http)
    for path, item in description["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert "500" in operation["responses"], where
            for status, response in operation["responses"].items():
                if int(status) >= 400 and (status, path) != ("503", "/readyz"):
                    assert list(response["content"]) == ["application/problem+json"], f"{where} {status}"


def test_every_reference_leads_somewhere(http: FlaskClient) -> None:
    description = _described(http)
    text = json.dumps(description)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(description["components"]["schemas"])
    assert description["openapi"].startswith("3.1")
    assert description["security"] == [{"token": []}]
    assert description["paths"]["/healthz"]["get"]["security"] == [{}]


@pytest.fixture
def described_app(tmp_path: Path) -> tuple[Flask, str]:
    url = f"sqlite:///{tmp_path / 'fitqueue.db'}"
    upgrade(url)
    database = Database(url)
    with database.write() as session:
        token = tokens.create(session, name="tests")
    database.close()
    app = create_app(Settings(database_url=url, redis_url="redis://127.0.0.1:1/0", store=tmp_path / "store"))
    return app, token


def test_whatever_comes_is_answered_as_described(described_app: tuple[Flask, str]) -> None:
    app, token = described_app
    headers = {"Authorization": f"Bearer {token}"}
    api = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, headers=headers)
    tried = [_try(result.ok(), headers) for result in api.get_all_operations()]
    assert len(tried) > 15


def _try(operation: Any, headers: dict[str, str]) -> str:
    # Not by schemathesis's own decorator: it depends on the insides of one version of pytest.
    @given(case=operation.as_strategy())
    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        for name in ("wait", "follow"):  # these stay open, and have tests of their own
            case.query.pop(name, None)
        # No schema can tell what a job or a data set is: there, 422 is an answer to what the schema lets through.
        excluded = [positive_data_acceptance] if case.operation.body else []
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    run()
    return str(operation.label)
