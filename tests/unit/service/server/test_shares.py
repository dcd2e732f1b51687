"""The share of one token."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from werkzeug.test import create_environ

from service.login_proxy import LoginProxies
from service.server.shares import Shares

Application = Callable[..., Iterable[bytes]]


def answers(_environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


def call(application: Application, token: str | None, path: str = "/api/v1/jobs") -> tuple[str, Any]:
    """Call an application; return the status, and the answer, which is not closed."""
    statuses: list[str] = []
    headers = {"Authorization": token} if token else {}
    answer = application(create_environ(path, headers=headers), lambda status, _headers: statuses.append(status))
    return statuses[0], answer


def test_a_token_has_its_share_until_answers_are_closed() -> None:
    shares = Shares(answers, limit=2)
    _, first = call(shares, "Bearer a")
    call(shares, "bearer   a ")

    assert call(shares, "BEARER a")[0] == "429 Too Many Requests"
    assert call(shares, "Bearer b")[0] == "200 OK"
    first.close()
    assert call(shares, "Bearer a")[0] == "200 OK"


def test_requests_without_a_token_and_liveness_take_no_share() -> None:
    shares = Shares(answers, limit=1)
    call(shares, "Bearer a")

    assert [call(shares, None)[0] for _ in range(3)] == ["200 OK"] * 3
    assert call(shares, "Bearer a", "/healthz")[0] == "200 OK"


def test_an_application_that_fails_gives_its_share_back() -> None:
    def fails(_environ: Any, _start_response: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    shares = Shares(fails, limit=1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            call(shares, "Bearer a")


def test_each_user_of_a_login_proxy_has_a_share_and_others_cannot_take_it() -> None:
    shares = Shares(answers, LoginProxies("X-Remote-User", ["192.0.2.1"]), limit=1)

    def status(user: str, peer: str) -> str:
        environ = create_environ(
            "/api/v1/jobs", headers={"X-Remote-User": user}, environ_overrides={"REMOTE_ADDR": peer}
        )
        statuses: list[str] = []
        shares(environ, lambda status, _headers: statuses.append(status))
        return statuses[0]

    assert status("ada", "192.0.2.1") == "200 OK"
    assert status("ada", "192.0.2.1") == "429 Too Many Requests"
    assert [status("eve", peer) for peer in ("192.0.2.2", "192.0.2.2", "192.0.2.1")] == ["200 OK"] * 3
