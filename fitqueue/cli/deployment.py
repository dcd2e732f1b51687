"""The command that prepares a deployment with Docker Compose. It needs neither a service nor Docker."""

import secrets
import shlex
from pathlib import Path
from typing import Final

import click

from fitqueue.cli.output import wrap_for_terminal
from fitqueue.private_files import create_private

COMPOSE_FILE: Final = "docker-compose.yml"

_GPU_LINES: Final = f"COMPOSE_FILE={COMPOSE_FILE}:docker-compose.gpu.yml\nFITQUEUE_DEVICE=gpu\n"

_PUBLIC_LINE: Final = "FITQUEUE_ADDRESS=0.0.0.0\n"


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help=f"Where {COMPOSE_FILE} is; by default here.",
)
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="How many workers `up` starts.")
@click.option("--public", is_flag=True, help="Let other machines reach the API; by default only this one can.")
@click.option("--gpu", is_flag=True, help="For a host with NVIDIA GPUs: the workers use the GPU image and all GPUs.")
def init(folder: Path, workers: int, public: bool, gpu: bool) -> None:
    """Create .env with random passwords for Redis and PostgreSQL, and with the number of workers.

    Docker Compose reads .env from the folder of docker-compose.yml and does not start without it. Only you can read
    the file. An existing .env is never changed, because PostgreSQL's volume keeps the password it was created with.

    \b
    Next:
      docker compose up -d --wait
      docker compose exec api fitqueue token create me
    """
    if not (folder / COMPOSE_FILE).is_file():
        raise click.ClickException(
            f"There is no {COMPOSE_FILE} in {folder.absolute()}. Run this command in its folder, or use --dir."
        )
    env_file = folder / ".env"
    lines = [_passwords(), f"FITQUEUE_WORKERS={workers}\n", _PUBLIC_LINE * public, _GPU_LINES * gpu]
    try:
        create_private(env_file, "".join(lines))
    except FileExistsError:
        raise click.ClickException(
            f"{env_file} already exists and was not changed, because the volumes use its passwords. To start over "
            "without the existing jobs, run `docker compose down --volumes` and delete the file."
        ) from None
    click.echo(wrap_for_terminal(f"Created {env_file}. Next:") + f"\n\n{_next_commands(folder)}")


def _passwords() -> str:
    # Hexadecimal digits need no escaping in URLs and shells.
    return f"POSTGRES_PASSWORD={secrets.token_hex(24)}\nREDIS_PASSWORD={secrets.token_hex(24)}\n"


def _next_commands(folder: Path) -> str:
    commands = ["docker compose up -d --wait", "docker compose exec api fitqueue token create me"]
    if folder.absolute() != Path.cwd():
        commands.insert(0, f"cd {shlex.quote(str(folder))}")
    return "\n".join(f"    {command}" for command in commands)
