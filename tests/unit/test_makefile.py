"""`make up`: what is typed after it becomes options of `fitqueue up`."""

import os
import subprocess
from pathlib import Path

import click
import pytest

from fitqueue.cli import cli

ROOT = Path(__file__).parents[2]


def dry_run(*variables: str) -> list[str]:
    """Return the words of the command that `make up` would run, in a shell that has a HOST and a PORT of its own."""
    command = ["make", "--dry-run", "--old-file=.venv/.made", "up", *variables]
    # Not what `make test` hands on to a `make` below it.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment = {**inherited, "HOST": "myhost", "PORT": "3000"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ([], []),
        (["PORT=9000"], ["--port", '"9000"']),
        (["WORKERS=4", "SLOTS=2"], ["--workers", '"4"', "--slots", '"2"']),
        (["HOST=0.0.0.0", "DIR=data"], ["--host", '"0.0.0.0"', "--dir", '"data"']),
    ],
)
def test_variables_become_options(variables: list[str], options: list[str]) -> None:
    assert dry_run(*variables) == [".venv/bin/fitqueue", "up", *options]


def test_each_option_exists() -> None:
    command = cli.get_command(click.Context(cli), "up")
    assert command is not None
    existing = {option for parameter in command.params for option in parameter.opts}
    used = {word for word in dry_run("HOST=a", "PORT=1", "WORKERS=1", "SLOTS=1", "DIR=d") if word.startswith("--")}
    assert used == existing - {"--run"}
