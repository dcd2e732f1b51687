"""Real Redis servers and whole workers, started as an operator starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis as redis_py

from service.db import Database
from service.models import Job
from service.processes import free_port, redis_server
from service.store import jobs, workers
from tests import waiting

ROOT = Path(__file__).parents[3]
SECONDS = 600.0


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Return `tests.waiting.until` with a bound that holds on a slow machine."""

    def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
        return waiting.until(condition, seconds, "what the test waits for", pause=0.02)

    return until


class Redis:
    """A Redis server on its own port, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(0)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen([redis_server(), *options], stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that is not started yet."""
    redis = Redis(tmp_path)
    yield redis
    redis.stop()


@pytest.fixture
def server(redis: Any, until: Callable[..., Any]) -> Iterator[Any]:
    """A running Redis with a client, `server.client`."""
    redis.client = redis_py.Redis(port=redis.port, socket_timeout=30)
    start(redis, until)
    yield redis
    redis.client.close()


def start(redis: Any, until: Callable[..., Any]) -> None:
    """Start a Redis that has a client, and wait until it answers."""
    redis.start()
    until(lambda: answers(redis.client))


def answers(client: redis_py.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis_py.RedisError:
        return False


class Worker:
    """A worker process and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = SECONDS) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


@pytest.fixture(scope="session")
def run_worker(until: Callable[..., Any]) -> Callable[..., Any]:
    """Return a context manager that runs `python -m workers`, or another module, once the worker is registered."""

    @contextmanager
    def run(database: Database, folder: Path, module: str = "workers", **settings: Any) -> Iterator[Worker]:
        before = _alive(database)
        (folder / "storage").mkdir(parents=True, exist_ok=True)
        settings = {"storage": folder / "storage", "work_dir": folder / "work", **settings}
        variables = {f"FITQUEUE_{name.upper()}": str(value) for name, value in settings.items()}
        with (folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=os.environ | variables, stdout=log, stderr=log
            )
        worker = Worker(process, folder / "worker.log")
        try:
            until(lambda: process.poll() is not None or _alive(database) > before)
            assert process.poll() is None, worker.log.read_text()
            yield worker
        finally:
            process.kill()
            process.wait()

    return run


def _alive(database: Database) -> int:
    with database.read() as session:
        return len(workers.list_alive(session, 3600.0))


@pytest.fixture(scope="session")
def look_at() -> Callable[[Database, str], Job]:
    def look_at(database: Database, job_id: str) -> Job:
        with database.read() as session:
            return jobs.get(session, job_id)

    return look_at
