"""The commands that need the database or start processes: `fitqueue up`, `fitqueue token` and `fitqueue migrate`.

They join the `fitqueue` command line by the entry points of `pyproject.toml`.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fitqueue.client.configuration import files_above
from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable, FitQueueError, NotConfigured
from service.db import Database, sqlite_file
from service.migrate import upgrade
from service.settings import Settings
from service.stack import STOP_SIGNALS, Stack, end, signals_ignored
from service.store import tokens

LOOK_SECONDS: Final = 1.0

PROGRAM_SECONDS: Final = 1.0
"""How long the program of `--run` may take to end by itself, and how long when it is told to."""


@click.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("var"), show_default=True
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any free one.")
@click.option(
    "--run",
    "program",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run this Python program once all is ready, then stop everything and exit as it did.",
)
def up(folder: Path, port: int, program: Path | None) -> int:
    """Start API, Redis and one worker on this machine.

    Everything lies in one folder: database, files, logs, and `client.json` with the address and the token, by which
    the other commands find the service. Ctrl-C stops all of it; jobs that run are put back, for the next start.
    """
    # `kill` and a closed terminal end it as orderly as Ctrl-C does.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        with Stack(folder, port=port, say=click.echo) as stack:
            if program is not None:
                return _run(program, stack)
            click.echo(_welcome(stack))
            _wait_until_interrupted(stack)
    except FitQueueError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("\nStopped. Jobs that were running are back in the queue.")
        if program is not None:
            raise  # its work was not done; without a program, this is how `up` is meant to end
    return 0


def _run(program: Path, stack: Stack) -> int:
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    process = subprocess.Popen([sys.executable, str(program)], env=environment)
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(LOOK_SECONDS)
                # As a shell has it where a signal ended it.
                return code if code >= 0 else 128 - code
            stack.look_after()
    finally:
        with signals_ignored():
            _end_program(process)


def _end_program(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C reached it with us, and it may be tidying up; `kill` did not."""
    try:
        process.wait(PROGRAM_SECONDS)
    except subprocess.TimeoutExpired:
        end(process, PROGRAM_SECONDS)


def _welcome(stack: Stack) -> str:
    return f"""
FitQueue is ready.

    API      {stack.url}/api/v1
    Docs     {stack.url}/docs?token={stack.token}
    Token    {stack.token}
    Files    {stack.folder}

In another shell:
{_how_to_find(stack)}
    {sys.argv[0]} submit examples/digits_cnn.json --wait

Ctrl-C stops all of it."""


def _how_to_find(stack: Stack) -> str:
    """The command line looks for var/client.json in its folder and those above."""
    if stack.folder.name == "var":
        return f"\n    cd {shlex.quote(str(stack.folder.parent))}"
    return f"\n    export FITQUEUE_URL={stack.url} FITQUEUE_TOKEN={stack.token}"


def _wait_until_interrupted(stack: Stack) -> None:
    pause = threading.Event()
    while not pause.wait(LOOK_SECONDS):
        stack.look_after()


@click.command()
def migrate() -> None:
    """Bring the database of FITQUEUE_DATABASE_URL to this version."""
    with causes_told():
        upgrade(read_settings().database_url)
    click.echo("The database is up to date.")


@click.group()
def token() -> None:
    """Make, list and revoke tokens, in the database of the service.

    That is the one of FITQUEUE_DATABASE_URL, or else var/fitqueue.db in this folder or one above. So run it where the
    service runs: beside `fitqueue up`, or as `docker compose exec api fitqueue token …`.
    """


@token.command("create")
@click.argument("name")
def create_token(name: str) -> None:
    """Make a token for NAME and print it. It is stored hashed: it cannot be shown again."""
    with causes_told(), _database().write() as session:
        click.echo(tokens.create(session, name=name))


@token.command("list")
def list_tokens() -> None:
    """List the tokens: their ids, names and times, not the tokens themselves."""
    with causes_told(), _database().read() as session:
        for row in tokens.list_all(session):
            state = f"revoked {row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else "valid"
            click.echo(f"{row.id}  {row.created_at:%Y-%m-%d %H:%M}  {state:24}  {row.name}")


@token.command("revoke")
@click.argument("token_id")
def revoke_token(token_id: str) -> None:
    """Revoke the token of this id, as `fitqueue token list` shows it."""
    with causes_told(), _database().write() as session:
        if not tokens.revoke(session, token_id):
            raise click.ClickException(f"There is no valid token of the id '{token_id}'.")
    click.echo(f"Revoked {token_id}.")


def _database() -> Database:
    """The one that is there. Never a new one: it would hold a token that opens nothing."""
    settings = read_settings()
    if "database_url" not in settings.model_fields_set:
        return Database(f"sqlite:///{_nearest_file()}")
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():
        raise NotConfigured(f"There is no database yet at {file}, which FITQUEUE_DATABASE_URL names")
    return Database(settings.database_url)


def _nearest_file() -> Path:
    found = next(files_above(Path.cwd(), "fitqueue.db"), None)
    if found is None:
        raise NotConfigured(
            "No database is known: set FITQUEUE_DATABASE_URL, or go where `fitqueue up` has made var/fitqueue.db"
        )
    return found


@contextmanager
def causes_told() -> Iterator[None]:
    """Who runs the database may hear what its driver says; the API keeps that from its users."""
    try:
        yield
    except DatabaseUnavailable as error:
        cause = getattr(error.__cause__, "orig", None)
        if isinstance(error, DatabaseOutdated) or cause is None:
            raise
        raise DatabaseUnavailable(f"The database cannot be used: {' '.join(str(cause).split())}") from error


def read_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise click.ClickException("; ".join(map(_in_words, error.errors()))) from error


def _in_words(fault: ErrorDetails) -> str:
    return f"FITQUEUE_{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
