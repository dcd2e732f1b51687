"""A deployment by Docker Compose, made as users make one: in a folder of its own, with an .env by `fitqueue init`."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import fitqueue
from fitqueue.cli import main
from service.processes import free_port

ROOT: Final = Path(__file__).parents[1]
BUILT_FROM: Final = (
    *("Dockerfile", ".dockerignore", "docker-compose.yml", "docker-compose.gpu.yml", "pyproject.toml", "README.md"),
    *("requirements", "fitqueue", "service", "workers", "migrations"),
)
IMAGE: Final = "fitqueue-test"
"""Begins the names of the images: those of a deployment that somebody uses on this host stay as they are."""
API_IMAGE: Final = f"{IMAGE}-api"
WORKER_IMAGE: Final = f"{IMAGE}-worker:cpu"
OURS: Final = ("COMPOSE_", "FITQUEUE_", "POSTGRES_PASSWORD", "REDIS_PASSWORD")


class Deployment:
    """Containers, volumes and a port that no other deployment of this host has."""

    def __init__(self, folder: Path, *options: str, **settings: str | int) -> None:
        """`options` are those of `fitqueue init`; `settings` go into `.env`, after what it wrote there."""
        self.folder = folder
        self.port = free_port(0)
        for name in BUILT_FROM:
            _copy(ROOT / name, folder / name)
        if main(["init", "--dir", str(folder), *options]) != 0:
            raise RuntimeError("`fitqueue init` failed")
        own = {"COMPOSE_PROJECT_NAME": f"fitqueue-{uuid.uuid4().hex[:8]}", "FITQUEUE_PORT": self.port}
        settings = {**own, "FITQUEUE_IMAGE": IMAGE, **settings}
        with (folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    @property
    def secrets(self) -> list[str]:
        lines = (self.folder / ".env").read_text().splitlines()
        return [line.partition("=")[2] for line in lines if "PASSWORD" in line]

    def compose(self, *arguments: str) -> str:
        return run("docker", "compose", *arguments, cwd=self.folder)

    def up(self, workers: int) -> None:
        self.compose("up", "--detach", "--wait", "--scale", f"worker={workers}")

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "1")

    def containers(self, *services: str) -> list[str]:
        """The ids of those that are there, running or not."""
        return self.compose("ps", "--all", "--quiet", *services).split()

    def client(self) -> fitqueue.Client:
        """With a new token."""
        token = self.compose("exec", "-T", "api", "fitqueue", "token", "create", "me").strip()
        return fitqueue.Client(f"http://127.0.0.1:{self.port}", token)


@contextmanager
def deployment(folder: Path, *options: str, **settings: str | int) -> Iterator[Deployment]:
    """Whose containers and volumes are gone at the end."""
    made = Deployment(folder, *options, **settings)
    try:
        yield made
    finally:
        made.down()


def run(*command: str, cwd: Path | None = None) -> str:
    """What it wrote on stdout.

    Raises:
        RuntimeError: it failed; with what it wrote on stderr.
    """
    # What this shell has set for another deployment would go before the folder's own .env.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)
