"""The commands that start processes or migrate the database: `fitqueue up` and `fitqueue migrate`.

They join the `fitqueue` command line through the entry points in `pyproject.toml`.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import click

from fitqueue.cli.output import wrap_for_terminal
from fitqueue.client import Client
from fitqueue.errors import FitQueueError, WrongStorage
from service.command_errors import database_errors_explained, read_settings
from service.db import Database
from service.migrate import upgrade
from service.processes import STOP_SIGNALS, end, signals_ignored
from service.settings import Settings
from service.stack import Stack
from service.storage import REQUEST_RETRY_TIMEOUT, open_storage
from service.storage_marking import mark_storage

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
