"""The commands that need the database or start processes: `fitqueue up`, `fitqueue token` and `fitqueue migrate`.

They join the `fitqueue` command line through the entry points in `pyproject.toml`.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fitqueue.audit_actions import AuditAction
from fitqueue.cli.output import print_table, wrap_for_terminal
from fitqueue.cli.suggestions import SuggestingGroup
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time
from fitqueue.client import Client
from fitqueue.client.configuration import files_above
from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable, FitQueueError, NotConfigured, WrongStorage
from fitqueue.spec import validation_words
from service.db import Database, sqlite_file
from service.migrate import upgrade
from service.models import ADMIN_ID
from service.processes import STOP_SIGNALS, end, signals_ignored
from service.settings import Settings
from service.stack import Stack
from service.storage import REQUEST_RETRY_TIMEOUT, open_storage
from service.storage_marking import mark_storage
from service.store import audit, tokens
from service.store.audit import OPERATOR

POLL_SECONDS: Final = 1.0

PROGRAM_STOP_TIMEOUT: Final = 1.0
"""Seconds that the program of `--run` may take to exit by itself, and again after SIGTERM."""


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var"),
    show_default=True,
    help="The folder for the database, files and logs.",
)
@click.option(
    "--host",
    envvar="FITQUEUE_HOST",
    default="127.0.0.1",
    show_default=True,
    help="The address that the API listens on; 0.0.0.0: all addresses of this machine.",
)
@click.option(
    "--port",
    envvar="FITQUEUE_PORT",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="The API's port, or if it is taken one of the next; 0: any.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many workers to start.")
@click.option(
    "--slots", type=click.IntRange(1, 64), help="How many jobs each worker trains at a time; by default FITQUEUE_SLOTS."
)
@click.option(
    "--run",
    "program",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run this Python program when everything is ready, then stop everything and exit with its exit code.",
)
def up(folder: Path, host: str, port: int, workers: int, slots: int | None, program: Path | None) -> int:
    """Start the API, Redis and workers on this machine.

    Everything is in one folder: the database, files, logs, and `client.json` with the address and the token, which the
    other commands read. Ctrl-C stops everything; running jobs are requeued and resume at the next start.
    """
    # `kill` and a closed terminal end it as orderly as Ctrl-C does.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    settings = {} if slots is None else {"FITQUEUE_SLOTS": str(slots)}
    try:
        with Stack(folder, host=host, port=port, workers=workers, environment=settings, echo=click.echo) as stack:
            if program is not None:
                return _run(program, stack)
            click.echo(_welcome(stack))
            _wait_until_interrupted(stack)
    except FitQueueError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("\nStopped. Jobs that were running are back in the queue.")
        if program is not None:
            raise  # the program was not finished; without one, this is how `up` is meant to end
    return 0


def _run(program: Path, stack: Stack) -> int:
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    process = subprocess.Popen([sys.executable, str(program)], env=environment)
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(POLL_SECONDS)
                # As a shell shows a program that a signal ended.
                return code if code >= 0 else 128 - code
            stack.supervise()
    finally:
        with signals_ignored():
            _end_program(process)


def _end_program(process: subprocess.Popen[bytes]) -> None:
    """End the program. Ctrl-C reached it as well, so it may be tidying up; `kill` did not."""
    try:
        process.wait(PROGRAM_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        end(process, PROGRAM_STOP_TIMEOUT)


def _welcome(stack: Stack) -> str:
    end = (
        f"The address of the pages logs a browser in once; `{sys.argv[0]} open` gives another. Ctrl-C stops everything."
    )
    return f"""
FitQueue is ready.

    Pages    {_login_link(stack)}
    API      {stack.url}/api/v1
    Token    {stack.token}
    Files    {stack.folder}

In another shell:
{_connect_lines(stack)}
    {sys.argv[0]} submit examples/digits_cnn.json --wait

{wrap_for_terminal(end)}"""


def _login_link(stack: Stack) -> str:
    with Client(stack.url, stack.token) as client:
        return client.login_link()


def _connect_lines(stack: Stack) -> str:
    """Return the line by which another shell finds the service: commands look for var/client.json in parent folders."""
    if stack.folder.name == "var":
        return f"\n    cd {shlex.quote(str(stack.folder.parent))}"
    return f"\n    export FITQUEUE_URL={stack.url} FITQUEUE_TOKEN={stack.token}"


def _wait_until_interrupted(stack: Stack) -> None:
    pause = threading.Event()
    while not pause.wait(POLL_SECONDS):
        stack.supervise()


@click.command()
@click.option(
    "--adopt-storage",
    is_flag=True,
    help="Accept a storage that lacks the files of the database, or that belonged to another one.",
)
def migrate(adopt_storage: bool) -> None:
    """Migrate the database of FITQUEUE_DATABASE_URL to this version, and mark FITQUEUE_STORAGE as its storage.

    The storage is created if it does not exist. A storage that lacks the files of the database is refused, because its
    disk may not be mounted.
    """
    settings = read_settings()
    with database_errors_explained():
        upgrade(settings.database_url)
        with closing(Database(settings.database_url)) as database:
            _mark_storage(settings, database, adopt_storage)
    click.echo(wrap_for_terminal("The database is up to date, and the storage is marked as its own."))


def _mark_storage(settings: Settings, database: Database, adopt: bool) -> None:
    try:
        mark_storage(database, open_storage(settings, REQUEST_RETRY_TIMEOUT, lambda: None), adopt=adopt)
    except OSError as error:
        raise WrongStorage(f"The storage of FITQUEUE_STORAGE cannot be used: {error}") from error


@click.group(cls=SuggestingGroup)
def token() -> None:
    """Create, list and revoke the tokens of a service, in its database.

    That is the database of FITQUEUE_DATABASE_URL, or else var/fitqueue.db in this folder or a parent. So run it where
    the service runs: beside `fitqueue up`, or as `docker compose exec api fitqueue token …`.
    """


@token.command("create")
@click.argument("name")
def create_token(name: str) -> None:
    """Create a token for NAME and print it. Only its hash is stored, so it cannot be shown again."""
    with database_errors_explained(), _database().write() as session:
        new = tokens.issue(session, name, ADMIN_ID)
        audit.record(session, OPERATOR, AuditAction.TOKEN_CREATE, new.row.id, {"name": name})
        click.echo(new.secret)


@token.command("list")
def list_tokens() -> None:
    """List the tokens: ids, names and times, not the tokens themselves."""
    with database_errors_explained(), _database().read() as session:
        rows = [
            [row.id, row.name, local_time(row.created_at), local_time(row.revoked_at)]
            for row in tokens.list_all(session)
        ]
    print_table(["ID", Column("NAME", wraps=True), Column("CREATED", rank=3), Column("REVOKED", rank=2)], rows)


@token.command("revoke")
@click.argument("token_id")
def revoke_token(token_id: str) -> None:
    """Revoke the token with this id, which `fitqueue token list` shows."""
    with database_errors_explained(), _database().write() as session:
        if not tokens.revoke(session, token_id):
            raise click.ClickException(f"There is no valid token with the id '{token_id}'.")
        audit.record(session, OPERATOR, AuditAction.TOKEN_REVOKE, token_id)
    click.echo(f"Revoked {token_id}.")


def _database() -> Database:
    """Return the service's database. It is never created here: a token in a new one would open nothing."""
    return Database(service_settings().database_url)


def service_settings() -> Settings:
    """Return the settings with the database and the storage of the service.

    Without FITQUEUE_DATABASE_URL, these are the ones that `fitqueue up` has created here or in a parent folder.

    Raises:
        NotConfigured: there is no database.
    """
    settings = read_settings()
    if "database_url" not in settings.model_fields_set:
        nearest = nearest_database_file()
        values = {"database_url": f"sqlite:///{nearest}", "storage": nearest.parent / "storage"}
        return settings.model_copy(update={k: v for k, v in values.items() if k not in settings.model_fields_set})
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():
        raise NotConfigured(f"There is no database at {file} yet, which FITQUEUE_DATABASE_URL names")
    return settings


def nearest_database_file() -> Path:
    """Return the database that `fitqueue up` has created in this folder or a parent.

    Raises:
        NotConfigured: there is none.
    """
    file = next(files_above(Path.cwd(), "fitqueue.db"), None)
    if file is None:
        raise NotConfigured(
            "No database is known: set FITQUEUE_DATABASE_URL, or go where `fitqueue up` has created var/fitqueue.db"
        )
    return file


@contextmanager
def database_errors_explained() -> Iterator[None]:
    """Add what the driver says to DatabaseUnavailable: operators may read it, users of the API may not."""
    try:
        yield
    except DatabaseUnavailable as error:
        cause = getattr(error.__cause__, "orig", None)
        if isinstance(error, DatabaseOutdated) or cause is None:
            raise
        raise DatabaseUnavailable(f"The database cannot be used: {' '.join(str(cause).split())}") from error


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        click.ClickException: a variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise click.ClickException("; ".join(map(_setting_error, error.errors()))) from error


def _setting_error(error: ErrorDetails) -> str:
    return f"FITQUEUE_{str(error['loc'][0]).upper()}: {validation_words.message(error)}"
