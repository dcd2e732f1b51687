"""The description of the API is correct, and the API behaves as it is described."""

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

PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")
"""Where the routes for programs begin. All others are pages for people."""


def _description(http: FlaskClient) -> dict[str, Any]:
    description: dict[str, Any] = http.get("/api/v1/openapi.json").json or {}
    return description


def test_every_route_is_described(app: Flask, http: FlaskClient) -> None:
    described = {(method.upper(), path) for path, item in _description(http)["paths"].items() for method in item}
    routes = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    description = {("GET", "/api/v1/openapi.json")}
    assert described == {route for route in routes if route[1].startswith(PROGRAMS)} - description


def test_every_operation_has_a_summary_and_its_errors(http: FlaskClient) -> None:
    for path, item in _description(http)["paths"].items():
        for method, operation in item.items():
            name = f"{method} {path}"
            assert operation["summary"], name
            assert "500" in operation["responses"], name
            for status, response in operation["responses"].items():
                if int(status) >= 400 and (status, path) != ("503", "/readyz"):
                    assert list(response["content"]) == ["application/problem+json"], f"{name} {status}"


def test_every_reference_can_be_resolved(http: FlaskClient) -> None:
    description = _description(http)
    text = json.dumps(description)
    names = {reference.split('"')[0] for reference in text.split("#/components/schemas/")[1:]}
    assert names <= set(description["components"]["schemas"])
    assert description["openapi"].startswith("3.1")
    assert description["security"] == [{"token": []}]
    assert description["paths"]["/healthz"]["get"]["security"] == [{}]


def test_operations_and_schemas_have_names_for_people(http: FlaskClient) -> None:
    description = _description(http)
    names = [operation["operationId"] for item in description["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)
    assert {"createJob", "listJobs", "getJob", "cancelJob", "getBestWeights", "createDataset"} <= set(names)
    for name in [*names, *description["components"]["schemas"]]:
        assert name.isalpha(), name
        assert not name.endswith("View"), name


def test_headers_are_declared(http: FlaskClient) -> None:
    paths = _description(http)["paths"]
    create, get = paths["/api/v1/jobs"]["post"], paths["/api/v1/jobs/{job_id}"]["get"]
    download = paths["/api/v1/jobs/{job_id}/weights/best"]["get"]
    assert "Idempotency-Key" in _headers_of(create)
    assert {"Location"} == create["responses"]["201"]["headers"].keys()
    assert "Retry-After" in create["responses"]["503"]["headers"]
    assert "If-None-Match" in _headers_of(get)
    assert "ETag" in get["responses"]["200"]["headers"]
    assert {"If-None-Match", "Range", "If-Range"} <= _headers_of(download)
    assert {"ETag", "Content-Range", "Accept-Ranges"} <= download["responses"]["206"]["headers"].keys()


def _headers_of(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}


def test_the_job_that_is_sent_has_its_whole_schema(http: FlaskClient) -> None:
    description = _description(http)
    body = description["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/NewJob"}
    schemas = description["components"]["schemas"]
    assert {"model", "compile", "data", "fit", "callbacks", "resources"} <= schemas["NewJob"]["properties"].keys()
    assert "Conv2D" in schemas["Layer"]["properties"]["class_name"]["enum"]
    assert schemas["FitSpec"]["properties"]["epochs"]["description"].endswith("; default: 1")


@pytest.fixture
def app_and_token(tmp_path: Path) -> tuple[Flask, str]:
    """An application with an empty database, and a token for it."""
    url = f"sqlite:///{tmp_path / 'fitqueue.db'}"
    upgrade(url)
    database = Database(url)
    with database.write() as session:
        token = tokens.create(session, name="tests")
    database.close()
    (tmp_path / "storage").mkdir()
    app = create_app(Settings(database_url=url, redis_url="redis://127.0.0.1:1/0", storage=tmp_path / "storage"))
    return app, token


def test_generated_requests_are_answered_as_described(app_and_token: tuple[Flask, str]) -> None:
    app, token = app_and_token
    # Over WSGI, Schemathesis asks for compressed answers but reads them as they are.
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    api = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, headers=headers)
    tested = [_test_operation(result.ok(), headers) for result in api.get_all_operations()]
    assert len(tested) > 15


def _test_operation(operation: Any, headers: dict[str, str]) -> str:
    """Send generated requests to an operation, and return its name."""

    # Not by schemathesis's own decorator, which depends on the internals of one version of pytest.
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
        for name in ("wait", "follow"):  # these keep the connection open, and have tests of their own
            case.query.pop(name, None)
        # No schema can describe a valid job or data set, so 422 may answer a body that its schema accepts.
        # Nor can one describe a cursor, which only goes with what it was given for.
        excluded = [positive_data_acceptance] if case.operation.body or "cursor" in case.query else []
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    run()
    return str(operation.label)
