"""A login proxy names the user in a header field. From anybody else the field means nothing."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from fitqueue.account_views import MeView
from fitqueue.audit_actions import AuditAction
from fitqueue.roles import Role
from service import clock
from service.api.context import EXTENSION
from service.app import create_app
from service.db import Database
from service.models import AuditEntry, Token, User
from service.settings import Settings
from service.store import tokens, users

PROXY: Final = "192.0.2.10"
FIELD: Final = "X-Remote-User"
ORIGIN: Final = {"Origin": "http://localhost"}


@pytest.fixture
def behind_proxy(settings: Settings, database: Database) -> Iterator[Flask]:
    """The application with a login proxy, and the users ada and eve."""
    named = {"login_header": FIELD, "login_proxies": ("192.0.2.0/28",), "trusted_proxies": ("192.0.2.0/24",)}
    app = create_app(settings.model_copy(update=named))
    with database.write() as session:
        users.create(session, "ada", Role.MEMBER)
        users.create(session, "eve", Role.ADMIN)
    yield app
    app.extensions[EXTENSION].database.close()


@pytest.fixture
def ask(behind_proxy: Flask) -> Callable[..., TestResponse]:
    """A function that sends a request from an address, by default the proxy's."""

    def ask(path: str = "/api/v1/me", method: str = "GET", peer: str = PROXY, **options: Any) -> TestResponse:
        client: FlaskClient = behind_proxy.test_client(use_cookies=False)
        return client.open(path, method=method, environ_base={"REMOTE_ADDR": peer}, **options)

    return ask


Ask = Callable[..., TestResponse]


def _me(answer: TestResponse) -> MeView:
    assert answer.status_code == 200, answer.text
    return MeView.model_validate_json(answer.data)


def test_the_user_is_logged_in_with_a_token_of_their_own(ask: Ask, database: Database) -> None:
    [first, second] = [_me(ask(headers={FIELD: "ada", "X-Forwarded-For": "203.0.113.7"})) for _ in range(2)]
    assert (first.user.name, first.token.name, first.token.user) == ("ada", "proxy", "ada")
    assert first.token.id == second.token.id != _me(ask(headers={FIELD: "eve"})).token.id
    with database.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        assert session.get_one(Token, first.token.id).last_used_from == "203.0.113.7"
    assert [(row.user, row.action, row.address) for row in rows] == [
        ("ada", AuditAction.TOKEN_CREATE, "203.0.113.7"), ("eve", AuditAction.TOKEN_CREATE, PROXY),
    ]  # fmt: skip


@pytest.mark.parametrize("peer", ["192.0.2.16", "127.0.0.1", "203.0.113.7", "::1"])
def test_from_any_other_address_the_field_means_nothing(ask: Ask, peer: str) -> None:
    """Also if it says that it comes from the proxy, or is a proxy that is trusted with other fields."""
    for claims in ({}, {"X-Forwarded-For": PROXY}):
        answer = ask(peer=peer, headers={FIELD: "eve", **claims})
        assert answer.status_code == 401
        assert "eve" not in answer.text


def test_the_direct_peer_is_believed_and_not_what_it_forwards_for(ask: Ask) -> None:
    assert _me(ask(headers={FIELD: "ada", "X-Forwarded-For": "203.0.113.7"})).user.name == "ada"
    assert ask(peer="192.0.2.99", headers={FIELD: "ada", "X-Forwarded-For": PROXY}).status_code == 401


@pytest.mark.parametrize(
    "named",
    ["nobody", "eve,ada", "ada,eve", "eve, eve", "Eve", " eve", "usr_admin", "e%76e", "eve\x00", "é", "эва", "x" * 8000,
     "eve;admin", '"eve"', "eve@example.org", "*", "' OR 1=1 --"],
)  # fmt: skip
def test_whoever_is_not_exactly_a_user_is_refused(ask: Ask, named: str, database: Database) -> None:
    environ = {"HTTP_X_REMOTE_USER": named.encode().decode("latin-1")}
    answer = ask(environ_overrides=environ)
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["code"] == "forbidden"
    assert len(answer.text) < 1000
    with database.read() as session:
        assert session.scalars(select(Token).where(Token.name == "proxy")).all() == []


def test_without_a_name_nobody_is_logged_in(ask: Ask) -> None:
    assert [ask(headers=headers).status_code for headers in ({}, {FIELD: ""})] == [401, 401]
    page = ask("/", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Location"]) == (302, "/login?next=/")


def test_a_token_wins(ask: Ask, database: Database) -> None:
    with database.write() as session:
        token = tokens.create(session, "laptop")
    assert _me(ask(headers={FIELD: "ada", "Authorization": f"Bearer {token}"})).user.name == "admin"
    assert ask(headers={FIELD: "ada", "Authorization": "Bearer wrong"}).status_code == 401
    assert _me(ask(headers={FIELD: "ada", "Authorization": "Basic eDp5"})).user.name == "ada"


def test_the_proxy_wins_over_a_cookie(ask: Ask, database: Database) -> None:
    with database.write() as session:
        token = tokens.create(session, "laptop")
    login = ask("/login", "POST", data={"token": token}, headers=ORIGIN)
    cookie = {"Cookie": login.headers["Set-Cookie"].split(";")[0]}
    assert _me(ask(headers=cookie)).user.name == "admin"
    assert _me(ask(headers={**cookie, FIELD: "ada"})).user.name == "ada"


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {**ORIGIN, "Sec-Fetch-Site": "cross-site"}])
def test_a_write_must_come_from_an_own_page(ask: Ask, headers: dict[str, str]) -> None:
    answer = ask("/api/v1/login-links", "POST", headers={FIELD: "ada", **headers})
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["code"] == "cross_site"
    assert ask("/api/v1/login-links", "POST", headers={FIELD: "ada", **ORIGIN}).status_code == 201


def test_a_user_who_is_disabled_is_refused(ask: Ask, database: Database) -> None:
    for is_first in (True, False):
        with database.write() as session:
            session.execute(update(User).where(User.name == "ada").values(disabled_at=clock.now(session)))
        answer = ask(headers={FIELD: "ada"})
        assert answer.status_code == 403
        assert "The user ada is disabled." in answer.text
        with database.write() as session:
            session.execute(update(User).where(User.name == "ada").values(disabled_at=None))
        if is_first:
            assert _me(ask(headers={FIELD: "ada"})).user.name == "ada"


def test_the_token_of_the_proxy_cannot_be_revoked_by_accident(ask: Ask, database: Database) -> None:
    token_id = _me(ask(headers={FIELD: "ada"})).token.id
    assert ask(f"/api/v1/tokens/{token_id}", "DELETE", headers={FIELD: "ada", **ORIGIN}).status_code == 409
    with database.write() as session:
        tokens.revoke(session, token_id)
    refused = ask(headers={FIELD: "ada"})
    assert refused.status_code == 403
    assert "was revoked" in refused.text


def test_without_the_setting_the_field_means_nothing(stranger: FlaskClient) -> None:
    assert stranger.get("/api/v1/me", headers={FIELD: "admin"}).status_code == 401


@pytest.mark.parametrize(
    "variables",
    [{"login_header": FIELD}, {"login_proxies": "10.0.0.1"}, {"login_header": "X Y", "login_proxies": "10.0.0.1"},
     {"login_header": "Cookie", "login_proxies": "::1"}, {"login_header": "x-forwarded-for", "login_proxies": "::1"},
     {"login_header": FIELD, "login_proxies": "everywhere"}, {"login_header": "X_Remote_User", "login_proxies": "::1"}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"FITQUEUE_{name.upper()}", value)
    with pytest.raises(ValueError, match=r"login_(header|proxies)"):
        Settings()
