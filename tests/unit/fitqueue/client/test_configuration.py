"""Where the client finds the address and the token of the service."""

import json
import os
from pathlib import Path

import pytest

from fitqueue.client import find_connection
from fitqueue.client.configuration import clean_url, preferred_language
from fitqueue.errors import NotConfigured


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment in which the user has no `client.json` of their own."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def store(path: Path, url: str, token: str | None = None) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"url": url, "token": token}))


def test_without_an_address_the_error_says_how_to_set_one(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(NotConfigured, match="FITQUEUE_URL"):
        find_connection(environment=home, folder=tmp_path)


def test_arguments_override_the_environment(tmp_path: Path, home: dict[str, str]) -> None:
    environment = {**home, "FITQUEUE_URL": "http://env", "FITQUEUE_TOKEN": "env"}
    connection = find_connection("http://arg", "arg", environment=environment, folder=tmp_path)
    assert (connection.url, connection.token) == ("http://arg", "arg")


def test_the_environment_overrides_a_file(tmp_path: Path, home: dict[str, str]) -> None:
    store(tmp_path / "var" / "client.json", "http://file", "file")
    environment = {**home, "FITQUEUE_URL": "http://env", "FITQUEUE_TOKEN": "env"}
    connection = find_connection(environment=environment, folder=tmp_path)
    assert (connection.url, connection.token) == ("http://env", "env")


def test_the_nearest_file_in_the_parents_is_used(tmp_path: Path, home: dict[str, str]) -> None:
    store(tmp_path / "config" / "fitqueue" / "client.json", "http://user", "user")
    store(tmp_path / "var" / "client.json", "http://far", "far")
    store(tmp_path / "project" / "var" / "client.json", "http://near", "near")
    below = tmp_path / "project" / "a" / "b"
    below.mkdir(parents=True)
    connection = find_connection(environment=home, folder=below)
    assert (connection.url, connection.token) == ("http://near", "near")


def test_the_file_in_the_users_home_comes_last(tmp_path: Path, home: dict[str, str]) -> None:
    store(tmp_path / "config" / "fitqueue" / "client.json", "http://user", "user")
    assert find_connection(environment=home, folder=tmp_path).url == "http://user"


def test_a_stored_token_is_not_sent_to_another_address(tmp_path: Path, home: dict[str, str]) -> None:
    store(tmp_path / "var" / "client.json", "http://file:1", "secret")
    assert find_connection("http://other", environment=home, folder=tmp_path).token is None
    assert find_connection("http://file:1/api/v1/", environment=home, folder=tmp_path).token == "secret"


def test_a_token_from_the_environment_overrides_the_stored_one(tmp_path: Path, home: dict[str, str]) -> None:
    store(tmp_path / "var" / "client.json", "http://file", "file")
    connection = find_connection(environment={**home, "FITQUEUE_TOKEN": "mine"}, folder=tmp_path)
    assert (connection.url, connection.token) == ("http://file", "mine")


def test_a_file_of_another_user_is_ignored(
    tmp_path: Path, home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path / "var" / "client.json", "http://theirs", "theirs")
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(NotConfigured):
        find_connection(environment=home, folder=tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"token": "x"}', '{"url": 3}', '{"url": "ftp://x"}'])
def test_the_error_names_a_file_that_cannot_be_used(tmp_path: Path, home: dict[str, str], content: str) -> None:
    path = tmp_path / "var" / "client.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(NotConfigured, match=r"client\.json|ftp://x"):
        find_connection(environment=home, folder=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8765",
        "ftp://host",
        "http://",
        "//host",
        "",
        "http://h:x",
        "http://h:99999",
        "http://[::1",
        "http://h?x",
    ],
)
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="expected something like http://"):
        clean_url(url)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/api/v1", " http://h:1/api/v1/ "])
def test_an_address_is_normalised(url: str) -> None:
    assert clean_url(url) == "http://h:1"


def test_whitespace_around_a_token_is_removed(tmp_path: Path, home: dict[str, str]) -> None:
    assert find_connection("http://h", " fq_x\n", environment=home, folder=tmp_path).token == "fq_x"


@pytest.mark.parametrize("token", ["fq_ü", "fq\nX-Evil: 1", "\x00"])
def test_a_token_that_a_header_cannot_carry_is_refused(tmp_path: Path, home: dict[str, str], token: str) -> None:
    with pytest.raises(NotConfigured, match="plain ASCII") as caught:
        find_connection("http://h", token, environment=home, folder=tmp_path)
    assert token not in str(caught.value)


def test_the_token_is_not_in_the_repr(tmp_path: Path, home: dict[str, str]) -> None:
    assert "secret" not in repr(find_connection("http://h", "secret", environment=home, folder=tmp_path))


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:1", True), ("http://localhost", True), ("http://[::1]:2", True), ("http://10.0.0.1", False)],
)
def test_which_addresses_are_local(url: str, local: bool, tmp_path: Path, home: dict[str, str]) -> None:
    assert find_connection(url, environment=home, folder=tmp_path).is_local is local


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh_CN.UTF-8", "zh-CN"), ("zh", "zh"), ("de_DE@euro", "de-DE"), ("C.UTF-8", "en"), ("POSIX", "en"), ("", "en"),
     ("x\r\nEvil: 1", "en")],
)  # fmt: skip
def test_the_language_comes_from_the_locale(locale: str, language: str) -> None:
    assert preferred_language({"LANG": locale}) == language
    assert preferred_language({"LC_ALL": locale, "LANG": "fr_FR"}) == (language if locale else "fr-FR")
