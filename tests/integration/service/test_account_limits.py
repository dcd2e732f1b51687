"""Limits of users and projects at the API: jobs, data sets, priorities, requests, and who may set them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.limits import ChangedUserLimits
from fitqueue.roles import Role
from service.api.context import Services
from service.db import Database
from service.settings import Settings
from service.store import attempt_outcomes, tokens, users
from service.token_bucket import TokenBuckets
from tests.integration.fixture_types import Claim
from tests.integration.service.npz import npz

URL = "/api/v1/jobs"
ADA = "/api/v1/users/ada"
LAB = "/api/v1/projects/lab"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    limits = ChangedUserLimits(running_jobs=7)
    return settings.model_copy(update={"default_max_runtime_seconds": 3600, "new_user_limits": limits})


@pytest.fixture
def client_of(app: Flask, database: Database) -> Callable[[str], FlaskClient]:
    """A function that returns a client of a user, whom it creates."""

    def make(name: str) -> FlaskClient:
        with database.write() as session:
            user = users.create(session, name, Role.MEMBER)
            token = tokens.create(session, name, user.id)
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    return make


@pytest.fixture
def ada(client_of: Callable[[str], FlaskClient]) -> FlaskClient:
    return client_of("ada")


@pytest.fixture
def limit(http: FlaskClient) -> Callable[..., None]:
    """A function that sets limits of Ada, or of what has another address."""

    def limit(address: str = ADA, **limits: int | None) -> None:
        response = http.patch(address, json={"limits": limits})
        assert response.status_code == 200, response.text

    return limit


def faults(response: Any) -> list[tuple[str, str, Any, str]]:
    assert response.status_code == 422, response.text
    return [(each["pointer"], each["code"], each["received"], each["expected"]) for each in response.json["errors"]]


def test_limits_are_changed_by_a_merge_patch(http: FlaskClient, ada: FlaskClient) -> None:
    def patch(limits: Any) -> dict[str, int]:
        response = http.patch(ADA, json={"limits": limits})
        assert response.json is not None
        return {name: limit for name, limit in response.json["limits"].items() if limit is not None}

    assert patch({"running_jobs": 4, "gpus": 2}) == {"running_jobs": 4, "gpus": 2}
    assert patch({"queued_jobs": 100, "gpus": None}) == {"running_jobs": 4, "queued_jobs": 100}
    assert patch({}) == {"running_jobs": 4, "queued_jobs": 100}
    me = ada.get("/api/v1/me").json
    assert me is not None
    assert me["user"]["limits"]["queued_jobs"] == 100
    assert patch(None) == {}
    assert ada.patch(ADA, json={"limits": {"gpus": 99}}).status_code == 403


@pytest.mark.parametrize(
    "limits",
    [{"jobs": 3}, {"running_jobs": -1}, {"running_jobs": 1.5}, {"running_jobs": "4"}, {"requests_per_minute": 119}],
)
def test_limits_that_cannot_be(limits: dict[str, Any], http: FlaskClient, ada: FlaskClient) -> None:
    assert http.patch(ADA, json={"limits": limits}).status_code == 422
    refused = http.patch(LAB, json={"limits": limits})
    assert refused.status_code == 422, "a project has no limit of requests"


def test_a_new_user_begins_with_the_limits_of_the_setting(
    http: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = http.post("/api/v1/users", json={"name": "cyd"}).json
    assert created is not None
    assert created["limits"]["running_jobs"] == 7
    monkeypatch.setenv("FITQUEUE_NEW_USER_LIMITS", '{"running_jobs": 7}')
    assert Settings().new_user_limits == settings.new_user_limits


def test_usage_is_what_there_is(
    http: FlaskClient, ada: FlaskClient, raw_spec: dict[str, Any], claim: Claim, database: Database
) -> None:
    size = ada.post("/api/v1/datasets?name=mine", data=npz(x=[1.0]), content_type="application/octet-stream")
    assert size.json is not None
    for _ in range(3):
        assert ada.post(URL, json=raw_spec).status_code == 201
    claim()
    http.post(URL, json=raw_spec)
    expected = {"running_jobs": 1, "gpus": 0, "queued_jobs": 2, "stored_bytes": size.json["size"]}
    me, lab = ada.get("/api/v1/me").json, ada.get(LAB).json
    assert me is not None
    assert lab is not None
    assert me["user"]["usage"] == expected
    assert lab["usage"] == expected | {"queued_jobs": 3}
    listed = http.get("/api/v1/users").json
    assert listed is not None
    assert {user["name"]: user["usage"]["queued_jobs"] for user in listed["data"]} == {"ada": 2, "admin": 1}


def test_more_queued_jobs_than_allowed(
    ada: FlaskClient, limit: Callable[..., None], raw_spec: dict[str, Any], claim: Claim, http: FlaskClient
) -> None:
    limit(queued_jobs=2)
    job, _ = (ada.post(URL, json=raw_spec).json for _ in range(2))
    refused = ada.post(URL, json=raw_spec)
    assert faults(refused) == [("", "limit_exceeded", None, "at most 2 queued jobs")]
    assert refused.json is not None
    assert refused.json["code"] == "limit_exceeded"
    assert refused.json["detail"] == "ada may have at most 2 queued jobs, and has 2."
    assert faults(ada.post(f"{URL}?dry_run=true", json=raw_spec)) == faults(refused)
    assert ada.get(f"{URL}?total=true").json["total"] == 2, "nothing was stored"  # type: ignore[index]
    assert http.post(URL, json=raw_spec).status_code == 201, "others are not limited"
    assert job is not None
    assert ada.post(f"{URL}/{job['id']}/pause").status_code == 202
    assert ada.post(URL, json=raw_spec).status_code == 201, "a paused job is not queued"
    resumed = ada.post(f"{URL}/{job['id']}/resume")
    assert faults(resumed)[0][3] == "at most 2 queued jobs"
    assert ada.get(f"{URL}/{job['id']}").json["state"] == "paused"  # type: ignore[index]
    lease = claim().lease
    assert ada.post(f"{URL}/{job['id']}/resume").status_code == 202
    with http.application.extensions["fitqueue"].database.write() as session:
        assert attempt_outcomes.requeue(session, lease, "The worker stops."), "what was accepted stays accepted"


def test_the_same_request_again_is_answered_at_the_limit(
    ada: FlaskClient, limit: Callable[..., None], raw_spec: dict[str, Any]
) -> None:
    limit(queued_jobs=1)
    headers = {"Idempotency-Key": "one"}
    first, again = (ada.post(URL, json=raw_spec, headers=headers) for _ in range(2))
    assert first.json is not None
    assert again.json is not None
    assert (again.status_code, again.json["id"]) == (201, first.json["id"])


def test_jobs_at_the_same_time_do_not_exceed_the_limit(
    ada: FlaskClient, limit: Callable[..., None], raw_spec: dict[str, Any], app: Flask
) -> None:
    limit(queued_jobs=3)
    headers = {"Authorization": ada.environ_base["HTTP_AUTHORIZATION"]}

    def post(_: int) -> int:
        return app.test_client().post(URL, json=raw_spec, headers=headers).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(post, range(8)))
    assert statuses == [201] * 3 + [422] * 5


def test_more_bytes_than_allowed(ada: FlaskClient, limit: Callable[..., None], raw_spec: dict[str, Any]) -> None:
    small, large = npz(x=[1.0]), npz(x=[float(value) for value in range(500)])

    def upload(content: bytes, name: str) -> Any:
        address = f"/api/v1/datasets?name={name}"
        return ada.post(address, data=content, content_type="application/octet-stream")

    limit(stored_bytes=len(small) + 10)
    assert upload(small, "small").status_code == 201
    refused = upload(large, "large")
    assert faults(refused) == [("", "limit_exceeded", None, f"at most {len(small) + 10:,} bytes stored")]
    assert f"has {len(small):,}; this would be {len(large):,} more" in refused.json["detail"]
    for address, status in ((f"{URL}?dry_run=true", 200), (URL, 201)):
        assert ada.post(address, json=raw_spec).status_code == status, "a job may still be submitted"
    limit(stored_bytes=len(small))
    for address in (URL, f"{URL}?dry_run=true"):
        assert faults(ada.post(address, json=raw_spec))[0][3] == f"at most {len(small):,} bytes stored"
    assert ada.delete("/api/v1/datasets/small").status_code == 204
    assert ada.post(URL, json=raw_spec).status_code == 201


def test_a_job_that_is_too_much_for_its_project(
    ada: FlaskClient, limit: Callable[..., None], raw_spec: dict[str, Any]
) -> None:
    limit(gpus=4, runtime_seconds=600)
    limit(LAB, gpus=2, runtime_seconds=900)
    job = raw_spec | {"resources": {"gpus": 8}, "max_runtime_seconds": 1000, "priority": 1}
    refused = ada.post(f"{URL}?dry_run=true", json=job)
    assert sorted(faults(refused)) == [
        ("/max_runtime_seconds", "limit_exceeded", 1000, "at most 600"),
        ("/max_runtime_seconds", "limit_exceeded", 1000, "at most 900"),
        ("/priority", "limit_exceeded", 1, "at most 0"),
        ("/resources/gpus", "limit_exceeded", 8, "at most 2"),
        ("/resources/gpus", "limit_exceeded", 8, "at most 4"),
    ]


def test_a_job_without_a_runtime_gets_the_longest_that_is_allowed(
    ada: FlaskClient, limit: Callable[..., None], raw_spec: dict[str, Any]
) -> None:
    limit(LAB, runtime_seconds=600)
    job = ada.post(URL, json=raw_spec).json
    assert job is not None
    assert job["spec"]["max_runtime_seconds"] == 600
    assert [each["code"] for each in job["notices"] if each["pointer"] == "/max_runtime_seconds"] == ["filled_in"]
    address = f"{URL}/{job['id']}"
    assert faults(ada.patch(address, json={"max_runtime_seconds": 601}))[0][2:] == (601, "at most 600")
    assert ada.patch(address, json={"max_runtime_seconds": 60}).status_code == 200
    changed = ada.patch(address, json={"max_runtime_seconds": None}).json
    assert changed is not None
    assert changed["spec"]["max_runtime_seconds"] == 600
    limit(LAB, runtime_seconds=None)
    changed = ada.patch(address, json={"max_runtime_seconds": None}).json
    assert changed is not None
    assert changed["spec"]["max_runtime_seconds"] == 3600, "that of the service"


def test_priorities_above_what_a_user_may_give(http: FlaskClient, ada: FlaskClient, raw_spec: dict[str, Any]) -> None:
    first = http.post(URL, json=raw_spec).json
    job = ada.post(URL, json=raw_spec | {"priority": -5}).json
    assert first is not None
    assert job is not None
    address = f"{URL}/{job['id']}"
    assert faults(ada.patch(address, json={"priority": 1})) == [("/priority", "limit_exceeded", 1, "at most 0")]
    assert ada.patch(address, json={"priority": 0}).status_code == 200
    refused = ada.post(f"{address}/move-to-front")
    assert refused.json is not None
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert "would need the priority 1, and you may give jobs a priority of at most 0" in refused.json["detail"]
    assert http.patch(ADA, json={"max_priority": 1}).status_code == 200
    assert ada.post(f"{address}/move-to-front").status_code == 200
    assert http.patch(address, json={"priority": 50}).status_code == 200, "an admin may give any"
    assert ada.patch(address, json={"priority": 50, "name": "mine"}).status_code == 200, "it stays as it is"
    assert ada.patch(address, json={"priority": 49}).status_code == 422
    assert ada.post(URL, json=raw_spec | {"priority": 2}).status_code == 422
    assert http.post(URL, json=raw_spec | {"priority": 100}).status_code == 201


def test_more_requests_in_a_minute_than_allowed(
    ada: FlaskClient, http: FlaskClient, limit: Callable[..., None], services: Services, stranger: FlaskClient
) -> None:
    now = 0.0
    object.__setattr__(services, "requests", TokenBuckets(lambda: now))
    limit(requests_per_minute=120)
    assert {ada.get("/api/v1/me").status_code for _ in range(120)} == {200}
    refused = ada.get("/api/v1/me")
    assert refused.json is not None
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json["code"] == "request_limit_reached"
    assert refused.json["detail"] == "ada may send at most 120 requests a minute; try again in a moment."
    assert http.get("/api/v1/me").status_code == 200, "others are not limited"
    assert stranger.get("/api/v1/me").status_code == 401
    assert {ada.get(path).status_code for path in ("/healthz", "/login", "/api/v1/job.schema.json")} == {200}
    assert ada.get("/readyz").status_code != 429
    now = 0.5
    assert [ada.get("/api/v1/me").status_code for _ in range(2)] == [200, 429]
    now = 1000.0
    assert [ada.get("/api/v1/me").status_code for _ in range(121)] == [200] * 120 + [429]
