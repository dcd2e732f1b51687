"""`fitqueue login` and `fitqueue logout`, with a real service."""

import io
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitqueue.client.configuration import find_connection


@pytest.fixture
def stored(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an own configuration, in an environment that names no service."""
    monkeypatch.delenv("FITQUEUE_URL")
    monkeypatch.delenv("FITQUEUE_TOKEN")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "fitqueue" / "client.json"


@pytest.fixture
def log_in(run: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """A function that logs in with a token from standard input."""

    def login(token: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
        return run("login", *arguments)  # type: ignore[no-any-return]

    return login


def test_login_stores_what_other_commands_use_and_logout_removes_it(
    run: Any, log_in: Any, service: Any, stored: Path
) -> None:
    code, out, err = run("jobs")
    assert (code, out) == (4, "")
    assert "run `fitqueue login`" in err
    code, out, err = log_in(service.token, f"{service.url}/api/v1")
    assert (code, out) == (0, "")
    assert err == f"Logged in to {service.url}. The token is in {stored}.\n"
    assert json.loads(stored.read_text()) == {"url": service.url, "token": service.token}
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert run("jobs") == (0, "", "No jobs.\n")
    assert log_in(service.token)[0] == 0, "the address is stored already"
    assert run("logout") == (0, "", f"Removed {stored}.\n")
    assert not stored.exists()
    assert run("logout") == (0, "", "Nothing was stored.\n")
    assert run("jobs")[0] == 4


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("fq_wrong", "does not accept this token. `fitqueue token create NAME`"),
        ("", "Received no token"),
        ("é", "ASCII"),
    ],
)
def test_a_token_that_is_not_valid_is_not_stored(
    log_in: Any, service: Any, stored: Path, token: str, message: str
) -> None:
    code, out, err = log_in(token, service.url)
    assert (code in {3, 4}, out) == (True, "")
    assert message in err
    assert not stored.exists()


def test_a_wrong_token_is_answered_with_what_to_do(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_TOKEN", "fq_wrong")
    code, _, err = run("jobs")
    assert code == 3
    assert err.endswith("Run `fitqueue login`, or set FITQUEUE_TOKEN.\n")


def test_login_says_what_goes_before_it(
    run: Any, log_in: Any, service: Any, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_URL", "http://127.0.0.1:9")
    err = log_in(service.token, service.url)[2]
    assert "another service or token goes first: FITQUEUE_URL." in err
    assert run("logout")[2].endswith("Commands still find a service: by FITQUEUE_URL.\n")
    assert find_connection().url == "http://127.0.0.1:9"
