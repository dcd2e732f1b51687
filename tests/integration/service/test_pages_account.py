"""The page of one's own account, whose forms work without a script."""

import html
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.roles import Role, Scope
from service.db import Database
from service.store import projects
from tests.integration.service.people import add_user

ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def ada(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "ada", Role.MEMBER)


def test_it_tells_who_one_is_and_what_one_may(ada: FlaskClient, database: Database) -> None:
    with database.write() as session:
        projects.create(session, "secret", is_open=False)
    page = ada.get("/account").text
    assert "<h2" in page
    assert ">ada</h2>" in page
    assert "member: submits jobs and data, and changes their own" in page
    assert "by the token ada-all, whose scope is all" in page
    assert "secret" not in page
    assert 'href="/?owner=ada"' in page


def test_a_token_is_shown_once_and_works(app: Flask, ada: FlaskClient) -> None:
    form = {"name": "laptop", "scope": "submit", "expires_in_days": "90"}
    created = ada.post("/account/tokens", data=form)
    assert created.status_code == 200
    assert created.headers["Cache-Control"] == "no-store"
    [secret] = re.findall(r'<code id="new-token">(fq_[^<]+)</code>', created.text)
    page = ada.get("/account").text
    assert secret not in page
    assert 'aria-label="Revoke the token laptop"' in page
    me = app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json
    assert (me["user"]["name"], me["token"]["scope"]) == ("ada", "submit")
    assert me["token"]["expires_at"] is not None


def test_a_revoked_token_is_not_valid_any_more(app: Flask, ada: FlaskClient) -> None:
    new = ada.post("/api/v1/tokens", json={"name": "old"}).json
    path = f"/account/tokens/{new['id']}/revoke"
    answer = ada.post(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    page = ada.get("/account").text
    assert "1 revoked or expired" in page
    assert "Revoke the token old" not in page
    headers = {"Authorization": f"Bearer {new['token']}"}
    assert app.test_client().get("/api/v1/me", headers=headers).status_code == 401
    again = ada.post(path)
    assert again.status_code == 404
    assert "There is no valid token with the id" in again.text


def test_nobody_revokes_the_token_of_somebody_else(app: Flask, database: Database, ada: FlaskClient) -> None:
    bob = add_user(app, database, "bob", Role.MEMBER)
    [token] = bob.get("/api/v1/tokens").json["data"]
    assert ada.post(f"/account/tokens/{token['id']}/revoke").status_code == 404
    assert bob.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize(
    ("form", "field", "fault"),
    [
        ({}, "name", "The field 'name' is missing."),
        ({"name": "x", "expires_in_days": "0"}, "expires_in_days", "Expected a number of at least 1."),
        ({"name": "x", "expires_in_days": "soon"}, "expires_in_days", "Expected an integer."),
        ({"name": "x", "scope": "most"}, "scope", "Expected 'read', 'submit' or 'all'."),
    ],
)
def test_a_fault_stands_beside_its_field(ada: FlaskClient, form: dict[str, str], field: str, fault: str) -> None:
    answer = ada.post("/account/tokens", data=form)
    page = html.unescape(answer.text)
    assert answer.status_code == 422
    assert f'<p class="error" role="alert" id="token-{field}-fault">{fault}</p>' in page
    assert re.search(rf'id="token-{field}" name="{field}" aria-invalid="true"[^>]*token-{field}-fault', page)
    if "name" in form:
        assert f'value="{form["name"]}"' in page, "what was written stays"


def test_a_field_that_does_not_exist_is_named(ada: FlaskClient) -> None:
    answer = ada.post("/account/tokens", data={"name": "x", "colour": "red"})
    assert answer.status_code == 422
    assert "/colour: Unknown field &#39;colour&#39;." in answer.text


def test_a_token_of_somebody_else_is_refused(ada: FlaskClient) -> None:
    answer = ada.post("/account/tokens", data={"name": "x", "user": "admin"})
    assert answer.status_code == 403
    assert "the tokens of others are for admins" in answer.text


def test_a_narrow_token_cannot_manage_tokens(app: Flask, database: Database) -> None:
    narrow = add_user(app, database, "ada", Role.MEMBER, Scope.READ)
    page = narrow.get("/account").text
    assert "has the scope read, which does not allow to create or revoke tokens" in page
    assert "<form" not in page.split("<main", 1)[1]
    answer = narrow.post("/account/tokens", data={"name": "x"})
    assert answer.status_code == 403
    assert "<h1>Not allowed</h1>" in answer.text


def test_another_site_cannot_create_a_token(app: Flask, token: str) -> None:
    browser = app.test_client()
    browser.post("/login", data={"token": token}, headers=ORIGIN)
    form = {"name": "stolen"}
    for origin in ({"Origin": "http://evil.example"}, {}):
        assert browser.post("/account/tokens", data=form, headers=origin).status_code == 403
    assert "stolen" not in browser.get("/account").text
    assert browser.post("/account/tokens", data=form, headers=ORIGIN).status_code == 200
