"""A deployment with Docker Compose, created as users do it: in a folder of its own, with `fitqueue init`."""

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
"""The names of the images begin with this, so that those of other deployments on this host are not replaced."""
API_IMAGE: Final = f"{IMAGE}-api"
WORKER_IMAGE: Final = f"{IMAGE}-worker:cpu"
OURS: Final = ("COMPOSE_", "FITQUEUE_", "POSTGRES_PASSWORD", "REDIS_PASSWORD")


class Deployment:
    """Containers, volumes and a port that no other deployment of this host has."""

    def __init__(self, folder: Path, *options: str, **settings: str | int) -> None:
        """Run `fitqueue init` with these options in the folder, and append the settings to its `.env`."""
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
        """Return the ids of the containers that exist, running or not."""
        return self.compose("ps", "--all", "--quiet", *services).split()

    def client(self) -> fitqueue.Client:
        """Return a client with a new token."""
        token = self.compose("exec", "-T", "api", "fitqueue", "token", "create", "me").strip()
        return fitqueue.Client(f"http://127.0.0.1:{self.port}", token)


@contextmanager
def deployment(folder: Path, *options: str, **settings: str | int) -> Iterator[Deployment]:
    """Yield a deployment, and remove its containers and volumes at the end."""
    made = Deployment(folder, *options, **settings)
    try:
        yield made
    finally:
        made.down()


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command, and return what it wrote to stdout.

    Raises:
        RuntimeError: it failed. The message is what it wrote to stderr.
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
