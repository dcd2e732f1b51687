"""`fitqueue token` and `fitqueue migrate`: which database they mean, and what they say where there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from fitqueue.cli import main
from fitqueue.cli.failures import NO_SERVICE, REFUSED
from service.db import Database
from service.migrate import upgrade
from service.store import tokens

Fitqueue = Callable[..., tuple[int, str, str]]
HERE = "sqlite:///var/fitqueue.db"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which commands run."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FITQUEUE_DATABASE_URL", raising=False)
    return folder


@pytest.fixture
def fitqueue(project: Path, capsys: pytest.CaptureFixture[str]) -> Fitqueue:
    """The exit code, and what was said on stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return run


@pytest.fixture
def database_here(project: Path) -> Iterator[Database]:
    """As `fitqueue up` makes it in the project's folder."""
    upgrade(HERE)
    database = Database(f"sqlite:///{project}/var/fitqueue.db")
    yield database
    database.close()


def _is_valid(database: Database, token: str) -> bool:
    with database.read() as session:
        return tokens.verify(session, token) is not None


def test_tokens_of_the_database_that_the_environment_names(
    fitqueue: Fitqueue, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", database_url)
    code, token, _ = fitqueue("token", "create", "me")
    assert (code, _is_valid(database, token)) == (0, True)
    row = fitqueue("token", "list")[1]
    assert row.endswith("  me")
    assert fitqueue("token", "revoke", row.split()[0])[0] == 0
    assert not _is_valid(database, token)
    assert fitqueue("token", "revoke", "tok_none")[0] == REFUSED


def test_tokens_of_the_nearest_database(
    fitqueue: Fitqueue, project: Path, database_here: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "examples" / "deep"
    below.mkdir(parents=True)
    for folder in (project, below):
        monkeypatch.chdir(folder)
        code, token, _ = fitqueue("token", "create", "me")
        assert (code, _is_valid(database_here, token)) == (0, True)
    assert list(below.iterdir()) == []


@pytest.mark.parametrize("url", [None, HERE, "sqlite:///elsewhere.db"])
@pytest.mark.parametrize("arguments", [["create", "me"], ["list"], ["revoke", "tok_1"]])
def test_tokens_make_no_database(
    fitqueue: Fitqueue, project: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, arguments: list[str]
) -> None:
    if url is not None:
        monkeypatch.setenv("FITQUEUE_DATABASE_URL", url)
    code, out, said = fitqueue("token", *arguments)
    assert (code, out) == (NO_SERVICE, "")
    assert "FITQUEUE_DATABASE_URL" in said
    assert list(project.iterdir()) == []


def test_migrate_makes_the_database_that_the_environment_names(
    fitqueue: Fitqueue, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", empty_database_url)
    assert fitqueue("token", "list")[0] == NO_SERVICE
    assert fitqueue("migrate") == (0, "The database is up to date.", "")
    assert fitqueue("token", "list")[0] == 0


@pytest.mark.parametrize("command", [["migrate"], ["token", "list"]])
@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("postgresql://me:geheim@127.0.0.1:1/db", NO_SERVICE, "Connection refused"),
        ("sqlite:///no-database", NO_SERVICE, "file is not a database"),
        ("geheim", REFUSED, "FITQUEUE_DATABASE_URL: This is no address of a database; expected `sqlite:///path`"),
        ("", REFUSED, "FITQUEUE_DATABASE_URL"),
        ("postgresql://me:geheim@host:port/db", REFUSED, "FITQUEUE_DATABASE_URL"),
        ("mysql://me:geheim@host/db", REFUSED, "'mysql' is no database that the service can use"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_a_line(
    fitqueue: Fitqueue,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    url: str,
    code: int,
    words: str,
) -> None:
    (project / "no-database").write_text("This is a text, and longer than the header of a database would be." * 9)
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", url)
    found, out, said = fitqueue(*command)
    assert (found, out) == (code, "")
    assert said.startswith("Error: ")
    assert words in said
    assert "\n" not in said
    assert "geheim" not in said


def test_tables_of_another_version_are_told(fitqueue: Fitqueue, project: Path, database_here: Database) -> None:
    with database_here.write() as session:
        session.execute(text("DROP TABLE tokens"))
    code, _, said = fitqueue("token", "list")
    assert (code, "run `fitqueue migrate`" in said) == (NO_SERVICE, True)
