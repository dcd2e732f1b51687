"""How long a job takes to resume when its worker is lost, or shuts down."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from sqlalchemy import func, select

from benchmarks.common import cnn_job, start_redis
from fitqueue.spec import parse_job
from fitqueue.states import Phase
from service.db import Database
from service.migrate import upgrade
from service.models import Job, Worker
from service.storage import FolderStorage
from service.storage_marking import mark_storage
from service.store import jobs

ROOT: Final = Path(__file__).parents[2]
SETTLING_SECONDS: Final = 5.0
"""How long the second worker gets to connect to Redis: it is registered before."""


class SharedServices:
    """A database, a Redis server and a folder that workers share, and these workers."""

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self.database = Database(f"sqlite:///{folder / 'fitqueue.db'}")
        upgrade(f"sqlite:///{folder / 'fitqueue.db'}")
        mark_storage(self.database, FolderStorage(folder / "storage"))
        self._folder = folder
        self._redis, redis_url = start_redis(folder)
        self._environment = os.environ | {
            "FITQUEUE_DATABASE_URL": f"sqlite:///{folder / 'fitqueue.db'}",
            "FITQUEUE_REDIS_URL": redis_url,
            "FITQUEUE_STORAGE": str(folder / "storage"),
            "FITQUEUE_WORK_DIR": str(folder / "work"),
            "FITQUEUE_LEASE_SECONDS": str(lease_seconds),
            "FITQUEUE_SNAPSHOT_SECONDS": "1",
        }
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker, and return when it is registered."""
        count_before = self._count_registered()
        with (self._folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "workers"], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        self._workers.append(worker)
        until(lambda: self._count_registered() > count_before)
        return worker

    def read_job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return jobs.get(session, job_id)

    def read_position(self, job_id: str) -> tuple[int, int]:
        """Return the epoch of a job and its step, as users see them."""
        job = self.read_job(job_id)
        return job.epoch, job.step

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._redis.kill()
        self._redis.wait()

    def _count_registered(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(Worker)) or 0


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        Event().wait(0.02)


@contextmanager
def shared_services(lease_seconds: float) -> Iterator[SharedServices]:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        services = SharedServices(Path(folder), lease_seconds)
        try:
            yield services
        finally:
            services.close()


def measure_resuming(number: signal.Signals, lease_seconds: float) -> float:
    """Return the seconds from a signal to the worker that trains to the first new step on an idle one."""
    with shared_services(lease_seconds) as services:
        spec = parse_job(
            {**cnn_job("digits", epochs=100_000), "callbacks": [], "fit": {"epochs": 100_000, "batch_size": 64}},
            lambda _: None,
        ).spec
        with services.database.write() as session:
            job_id = jobs.create(session, spec, []).id
        worker = services.start_worker()
        until(lambda: services.read_job(job_id).epoch >= 3)
        services.start_worker()
        Event().wait(SETTLING_SECONDS)
        worker.send_signal(number)
        began = time.perf_counter()
        until(lambda: (job := services.read_job(job_id)).attempt == 2 and job.phase is Phase.TRAINING)
        position_before = services.read_position(job_id)
        until(lambda: services.read_position(job_id) > position_before)
        return time.perf_counter() - began
