"""The command that prepares a deployment by Docker Compose. It needs no service, and no Docker."""

import os
import secrets
import shlex
from pathlib import Path
from typing import Final

import click

COMPOSE_FILE: Final = "docker-compose.yml"

_GPU_LINES: Final = f"COMPOSE_FILE={COMPOSE_FILE}:docker-compose.gpu.yml\nFITQUEUE_DEVICE=gpu\n"


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help=f"The folder of {COMPOSE_FILE}; by default this one.",
)
@click.option("--gpu", is_flag=True, help="This host has NVIDIA GPUs: its workers get the GPU image, and all of them.")
def init(folder: Path, gpu: bool) -> None:
    """Write .env, with random passwords for Redis and PostgreSQL.

    Docker Compose reads it beside docker-compose.yml, and starts nothing without it. Its owner alone can read it. One
    that is there is left as it is: PostgreSQL's volume keeps the password that it was made with.

    \b
    Then
      docker compose up -d --wait --scale worker=4
      docker compose exec api fitqueue token create me
    """
    if not (folder / COMPOSE_FILE).is_file():
        raise click.ClickException(f"There is no {COMPOSE_FILE} in {folder.absolute()}; go where it is, or use --dir.")
    file = folder / ".env"
    try:
        write_new(file, secret_settings() + (_GPU_LINES if gpu else ""))
    except FileExistsError:
        raise click.ClickException(
            f"{file} is there already, and was left as it is: the volumes know the passwords in it. To begin anew, "
            "without the jobs of before: docker compose down --volumes, and delete it."
        ) from None
    click.echo(f"Wrote {file}. Next:\n\n{_next(folder)}")


def secret_settings() -> str:
    """Passwords of hexadecimal digits, which stand in addresses as they are and mean nothing to any shell."""
    return f"POSTGRES_PASSWORD={secrets.token_hex(24)}\nREDIS_PASSWORD={secrets.token_hex(24)}\n"


def write_new(path: Path, text: str) -> None:
    """Writes a file that nobody but its owner can read, at no moment.

    Raises:
        FileExistsError: it is there, if only as a link that leads nowhere.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _next(folder: Path) -> str:
    commands = ["docker compose up -d --wait --scale worker=4", "docker compose exec api fitqueue token create me"]
    if folder.absolute() != Path.cwd():
        commands.insert(0, f"cd {shlex.quote(str(folder))}")
    return "\n".join(f"    {command}" for command in commands)
