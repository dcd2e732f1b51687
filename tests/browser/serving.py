"""Services that browsers visit."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import psutil

import fitqueue
from service.db import Database
from service.migrate import upgrade
from service.processes import end, free_port
from service.stack import Stack
from service.storage_marking import mark_folder
from service.store import tokens
from tests.waiting import ANSWER_SECONDS, until

START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0


class WholeService(Stack):
    """What `fitqueue up` starts, with an API that can be killed and started again."""

    @property
    def client(self) -> fitqueue.Client:
        return fitqueue.Client(self.url, self.token)

    def kill_api(self) -> None:
        """Kill the API's processes, as a loss of power would."""
        main = psutil.Process(self.processes["api"].pid)
        family = [main, *main.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes["api"].wait()
        psutil.wait_procs(family, START_TIMEOUT)

    def start_api(self) -> None:
        """Start the API again, at the same address, and wait until it answers."""
        self._start_process("api")
        until(lambda: _answers(self.url), START_TIMEOUT, "the API answers")


class PreparedAPI:
    """A context manager: the API alone, and the database whose rows it shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.database_url = f"sqlite:///{folder / 'fitqueue.db'}"
        port = free_port(0)
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            **os.environ,
            "FITQUEUE_PORT": str(port),
            "FITQUEUE_DATABASE_URL": self.database_url,
            "FITQUEUE_REDIS_URL": "redis://127.0.0.1:1/0",  # nothing listens there
            "FITQUEUE_STORAGE": str(self.storage),
        }

    def __enter__(self) -> Self:
        upgrade(self.database_url)
        mark_folder(self.database_url, self.storage)
        self.database = Database(self.database_url)
        with self.database.write() as session:
            self.token = tokens.create(session, "tests")
        command = [sys.executable, "-m", "gunicorn", "--config", "python:tests.browser.prepared_api_settings"]
        with (self.folder / "api.log").open("wb") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        until(self._is_up, START_TIMEOUT, "the API answers")
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process, STOP_TIMEOUT)
        self.database.close()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, (self.folder / "api.log").read_text()
        return _answers(self.url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False, timeout=ANSWER_SECONDS).is_success
    except httpx.TransportError:
        return False
