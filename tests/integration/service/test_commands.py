"""`fitqueue token` and `fitqueue migrate`: which database they use, and what they say if there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from fitqueue.cli import main
from fitqueue.cli.failures import NO_SERVICE, REFUSED
from service.db import Database
from service.migrate import upgrade
from service.models import AuditEntry
from service.store import tokens

RunCommand = Callable[..., tuple[int, str, str]]
LOCAL_URL = "sqlite:///var/fitqueue.db"
"""The database that `fitqueue up` creates in the current folder."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder in which the commands run."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FITQUEUE_DATABASE_URL", raising=False)
    return folder


@pytest.fixture
def fitqueue(project: Path, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """A function that runs a command line, and returns its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        output = capsys.readouterr()
        return code, output.out.strip(), output.err.strip()

    return run


@pytest.fixture
def local_database(project: Path) -> Iterator[Database]:
    """The database that `fitqueue up` creates in the project."""
    upgrade(LOCAL_URL)
    database = Database(f"sqlite:///{project}/var/fitqueue.db")
    yield database
    database.close()


def _is_valid(database: Database, token: str) -> bool:
    with database.read() as session:
        return tokens.verify(session, token) is not None


def test_the_environment_names_the_database_of_the_tokens(
    fitqueue: RunCommand, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", database_url)
    code, token, _ = fitqueue("token", "create", "me")
    assert (code, _is_valid(database, token)) == (0, True)
    heading, row = fitqueue("token", "list")[1].splitlines()
    assert heading.split() == ["ID", "NAME", "USER", "SCOPE", "CREATED"]
    assert row.split()[1] == "me"
    assert fitqueue("token", "revoke", row.split()[0])[0] == 0
    assert fitqueue("token", "list")[1].splitlines()[0].split() == ["ID", "NAME", "USER", "SCOPE", "CREATED", "REVOKED"]
    assert not _is_valid(database, token)
    assert fitqueue("token", "revoke", "tok_none")[0] == REFUSED
    with database.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    expected = [("operator", None, action, row.split()[0]) for action in ("token.create", "token.revoke")]
    assert [(entry.user, entry.user_id, entry.action, entry.target_id) for entry in entries] == expected


def test_without_a_name_the_nearest_database_above_is_used(
    fitqueue: RunCommand, project: Path, local_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    subfolder = project / "examples" / "deep"
    subfolder.mkdir(parents=True)
    for folder in (project, subfolder):
        monkeypatch.chdir(folder)
        code, token, _ = fitqueue("token", "create", "me")
        assert (code, _is_valid(local_database, token)) == (0, True)
    assert list(subfolder.iterdir()) == []


@pytest.mark.parametrize("url", [None, LOCAL_URL, "sqlite:///elsewhere.db"])
@pytest.mark.parametrize("arguments", [["create", "me"], ["list"], ["revoke", "tok_1"]])
def test_the_commands_for_tokens_never_create_a_database(
    fitqueue: RunCommand, project: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, arguments: list[str]
) -> None:
    if url is not None:
        monkeypatch.setenv("FITQUEUE_DATABASE_URL", url)
    code, out, err = fitqueue("token", *arguments)
    assert (code, out) == (NO_SERVICE, "")
    assert "FITQUEUE_DATABASE_URL" in err
    assert list(project.iterdir()) == []


def test_migrate_creates_the_database_that_the_environment_names(
    fitqueue: RunCommand, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", empty_database_url)
    assert fitqueue("token", "list")[0] == NO_SERVICE
    assert fitqueue("migrate") == (0, "The database is up to date, and the storage is marked as its own.", "")
    assert fitqueue("token", "list")[0] == 0


@pytest.mark.parametrize("command", [["migrate"], ["token", "list"]])
@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("postgresql://me:geheim@127.0.0.1:1/db", NO_SERVICE, "Connection refused"),
        ("sqlite:///no-database", NO_SERVICE, "file is not a database"),
        ("geheim", REFUSED, "FITQUEUE_DATABASE_URL: This is not the address of a database; expected `sqlite:///path`"),
        ("", REFUSED, "FITQUEUE_DATABASE_URL"),
        ("postgresql://me:geheim@host:port/db", REFUSED, "FITQUEUE_DATABASE_URL"),
        ("mysql://me:geheim@host/db", REFUSED, "'mysql' is not a database that the service can use"),
    ],
)
def test_a_database_that_cannot_be_used_is_reported_in_one_line_without_its_password(
    fitqueue: RunCommand,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    url: str,
    code: int,
    message: str,
) -> None:
    (project / "no-database").write_text("This is a text, and longer than the header of a database would be." * 9)
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", url)
    exit_code, out, err = fitqueue(*command)
    assert (exit_code, out) == (code, "")
    assert err.startswith("Error: ")
    assert message in err
    assert "\n" not in err
    assert "geheim" not in err


def test_tables_of_another_version_are_reported(fitqueue: RunCommand, project: Path, local_database: Database) -> None:
    with local_database.write() as session:
        session.execute(text("DROP TABLE tokens"))
    code, _, err = fitqueue("token", "list")
    assert (code, "run `fitqueue migrate`" in err) == (NO_SERVICE, True)
