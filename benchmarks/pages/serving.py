"""The API alone, in processes of its own, and the database whose rows its pages show."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from service.db import Database
from service.migrate import upgrade
from service.processes import end, free_port
from service.storage_marking import mark_folder
from service.store import tokens

START_SECONDS = 120


@dataclass(frozen=True)
class API:
    """A running API."""

    url: str
    database_url: str
    database: Database
    token: str
    process: psutil.Process
    log: Path

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of the API's processes: gunicorn's arbiter, and the one that answers."""
        return sum(sum(each.cpu_times()[:2]) for each in [self.process, *self.process.children()])

    def requests_answered(self) -> int:
        """Return how many requests the API has answered so far: it logs each of them."""
        return self.log.read_bytes().count(b'"message": "request"')

    def new_login_link(self) -> str:
        """Return an address that logs a browser in, once."""
        answer = httpx.post(
            f"{self.url}/api/v1/login-links", headers={"Authorization": f"Bearer {self.token}"}, trust_env=False
        )
        return str(answer.raise_for_status().json()["url"])


@contextmanager
def running_api(database_url: str, folder: Path) -> Iterator[API]:
    """Start the API on this database, and create a token."""
    upgrade(database_url)
    storage = folder / "storage"
    mark_folder(database_url, storage)
    database = Database(database_url)
    with database.write() as session:
        token = tokens.create(session, name="benchmark")
    port = free_port(0)
    environment = {
        **os.environ,
        "FITQUEUE_DATABASE_URL": database_url,
        "FITQUEUE_REDIS_URL": "redis://127.0.0.1:1/0",  # nothing listens there
        "FITQUEUE_STORAGE": str(storage),
        "FITQUEUE_HOST": "127.0.0.1",
        "FITQUEUE_PORT": str(port),
    }
    application = "benchmarks.pages.application:app"
    command = [sys.executable, "-m", "gunicorn", "--config", "python:service.gunicorn_settings", application]
    log = folder / "api.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        api = API(f"http://127.0.0.1:{port}", database_url, database, token, psutil.Process(process.pid), log)
        _wait_until_alive(api)
        yield api
    finally:
        end(process, 10.0)
        database.close()


def _wait_until_alive(api: API) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(f"{api.url}/healthz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"The API at {api.url} does not answer.")
