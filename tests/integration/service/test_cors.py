"""Pages of other origins: only those that a setting names, with a token, and never with a cookie."""

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.settings import Settings

PAGE = "https://app.example.org"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


@pytest.fixture
def page(settings: Settings, token: str) -> FlaskClient:
    """A browser that shows a page of an origin that may use the API."""
    origins = (PAGE, "http://localhost:5173")
    client = create_app(settings.model_copy(update={"cors_origins": origins})).test_client()
    client.environ_base["HTTP_ORIGIN"] = PAGE
    return client


def test_a_preflight_needs_no_token_and_says_what_may_be_sent(page: FlaskClient) -> None:
    answer = page.options("/api/v1/jobs", headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert "Origin" in answer.headers["Vary"]


def test_an_answer_can_be_read_with_its_headers(page: FlaskClient, token: str) -> None:
    answer = page.get("/api/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Location", "Retry-After"} <= set(exposed)


def test_no_cookie_is_accepted_and_errors_can_be_read(page: FlaskClient) -> None:
    answer = page.get("/api/v1/jobs")
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_other_origins_and_other_addresses_get_nothing(page: FlaskClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    stranger = page.get("/api/v1/jobs", headers={**headers, "Origin": "https://evil.example.org"})
    similar = page.get("/api/v1/jobs", headers={**headers, "Origin": "https://appxexample.org"})
    for answer in (stranger, similar, page.get("/login"), page.get("/readyz", headers=headers)):
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert page.options("/readyz", headers=PREFLIGHT).status_code == 401


def test_without_the_setting_a_preflight_is_401(stranger: FlaskClient) -> None:
    answer = stranger.options("/api/v1/jobs", headers={**PREFLIGHT, "Origin": PAGE})
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers
