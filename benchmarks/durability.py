"""Measure durability: the cost of snapshots, the seconds until a lost job resumes, and the claims per second."""

import argparse
import multiprocessing
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
from typing import Any

from rich.progress import track
from sqlalchemy import func, insert, select, text

from benchmarks.common import cnn_job, console, mnist_or_synthetic, report
from benchmarks.postgres import running_postgres
from fitqueue.spec import parse_job
from fitqueue.states import JobState, Phase
from service import environment
from service.db import Database
from service.migrate import upgrade
from service.models import Job, Worker
from service.processes import free_port, redis_server
from service.storage import FolderStorage
from service.storage_marking import mark_storage
from service.store import jobs, leases
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.supervisor.fork_server import TRAINER, ForkServer

ROOT = Path(__file__).parents[1]
LEASE_SECONDS = 30.0
SETTLING_SECONDS = 5.0
"""How long the second worker gets to connect to Redis: it is registered before."""
CLAIMERS = 8
CLAIMS_EACH = 200
QUEUED = 10_000


# --- What snapshots cost -------------------------------------------------------------------------------------------


def measure_training(module: str, data: Path, epochs: int) -> float:
    """Train the reference's MNIST CNN in a training process; return the seconds from the first batch to the end.

    Args:
        module: what the training process runs.
        data: MNIST as .npz.
        epochs: how many epochs it trains.
    """
    raw = cnn_job("mnist", epochs=epochs, side=28, scale=1 / 255, learning_rate=1e-4)
    spec = parse_job(raw, lambda _: None).spec.to_json()
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        start = Start(
            job_id="job_1", attempt=1, spec=spec, dataset_path=str(data), work_dir=folder, gpus=[], cpu_devices=1,
            threads=os.cpu_count() or 1,
        )  # fmt: skip
        began = ended = 0.0
        with ForkServer(module).spawn() as child:
            child.send(start)
            for event in child.outputs(poll=1.0):
                if isinstance(event, PhaseChanged) and event.phase is Phase.TRAINING:
                    began = time.perf_counter()
                if isinstance(event, Ended):
                    ended = time.perf_counter()
                    assert event.reason == "completed", event
    return ended - began


def measure_snapshots(data: Path, runs: int, epochs: int) -> tuple[list[float], list[float]]:
    """Return the seconds of trainings with snapshots, and of those without. They alternate."""
    os.environ.update(environment.for_children(dict(os.environ)))
    ForkServer().start()
    seconds_with, seconds_without = [], []
    for _ in track(range(runs), "with snapshots, then without", console=console):
        seconds_with.append(measure_training(TRAINER, data, epochs))
        seconds_without.append(measure_training("benchmarks.trains_without_snapshots", data, epochs))
    return seconds_with, seconds_without


# --- From a lost worker to the next step -----------------------------------------------------------------------------


class SharedServices:
    """A database, a Redis server and a folder that workers share, and these workers."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'fitqueue.db'}")
        upgrade(f"sqlite:///{folder / 'fitqueue.db'}")
        mark_storage(self.database, FolderStorage(folder / "storage"))
        self._folder = folder
        port = free_port(0)
        self._redis = subprocess.Popen(
            [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
            stdout=subprocess.DEVNULL,
        )
        self._environment = os.environ | {
            "FITQUEUE_DATABASE_URL": f"sqlite:///{folder / 'fitqueue.db'}",
            "FITQUEUE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "FITQUEUE_STORAGE": str(folder / "storage"),
            "FITQUEUE_WORK_DIR": str(folder / "work"),
            "FITQUEUE_LEASE_SECONDS": str(LEASE_SECONDS),
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
def shared_services() -> Iterator[SharedServices]:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        services = SharedServices(Path(folder))
        try:
            yield services
        finally:
            services.close()


def measure_resuming(number: signal.Signals) -> float:
    """Return the seconds from a signal to the worker that trains to the first new step on an idle one."""
    with shared_services() as services:
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


# --- Claims --------------------------------------------------------------------------------------------------------


def measure_claims(url: str) -> float:
    """Return how many claims per second eight processes make, with 10,000 queued jobs; no job is claimed twice."""
    database = Database(url)
    _submit_jobs(database)
    start = multiprocessing.Event()
    answers: Any = multiprocessing.Queue()
    claimers = [
        multiprocessing.Process(target=_claim_jobs, args=(url, f"wk_{n}", start, answers), daemon=True)
        for n in range(CLAIMERS)
    ]
    for claimer in claimers:
        claimer.start()
    for _ in claimers:
        assert answers.get() == "ready"
    began = time.perf_counter()
    start.set()
    claimed = [job_id for _ in claimers for job_id in answers.get()]
    seconds = time.perf_counter() - began
    for claimer in claimers:
        claimer.join()
    assert len(claimed) == len(set(claimed)), "a job was claimed twice"
    return len(claimed) / seconds


def _claim_jobs(url: str, worker_id: str, start: Any, answers: Any) -> None:
    database = Database(url)
    with database.read() as session:
        session.execute(text("SELECT 1"))
    answers.put("ready")
    start.wait()
    job_ids = []
    for _ in range(CLAIMS_EACH):
        with database.write() as session:
            claimed = leases.claim(session, worker_id, ["default"], [], LEASE_SECONDS)
        assert claimed is not None
        job_ids.append(claimed.lease.job_id)
    answers.put(job_ids)
    database.close()


def _submit_jobs(database: Database) -> None:
    spec = parse_job(cnn_job("digits", epochs=1), lambda _: None).spec
    with database.write() as session:
        first = jobs.create(session, spec, [])
        columns = {column.name: getattr(first, column.name) for column in Job.__table__.columns}
        rows = [{**columns, "id": f"{first.id}_{n:05d}"} for n in range(QUEUED - 1)]
        session.execute(insert(Job), rows)
    assert first.state is JobState.QUEUED


def measure_claims_on_both_databases() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        url = f"sqlite:///{Path(folder) / 'fitqueue.db'}"
        upgrade(url)
        sqlite = measure_claims(url)
    with running_postgres() as url:
        return {"sqlite": sqlite, "postgresql": measure_claims(url)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="trainings with snapshots, and without")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of each training")
    parser.add_argument("--data", type=Path, help="MNIST as .npz; without it, synthetic data of its size")
    options = parser.parse_args()
    claims = measure_claims_on_both_databases()
    killed, stopped = measure_resuming(signal.SIGKILL), measure_resuming(signal.SIGTERM)
    with mnist_or_synthetic(options.data) as data:
        seconds_with, seconds_without = measure_snapshots(data, options.runs, options.epochs)
    # The minimum: other work on the machine makes all other runs slower.
    cost = min(seconds_with) / min(seconds_without) - 1
    report(
        "durability",
        [
            ("snapshots, as a share of the training of the MNIST CNN", f"{cost:+.1%}"),
            (f"SIGKILL to a worker until the next step on another (lease {LEASE_SECONDS:g} s)", f"{killed:.1f} s"),
            ("SIGTERM to a worker until the next step on another", f"{stopped:.1f} s"),
            *(
                (f"claims per second, {QUEUED:,} queued jobs, {CLAIMERS} workers, {name}", f"{count:.0f}")
                for name, count in claims.items()
            ),
        ],
        {
            "seconds_with_snapshots": seconds_with,
            "seconds_without_snapshots": seconds_without,
            "snapshot_cost": cost,
            "seconds_to_resume_after_sigkill": killed,
            "seconds_to_resume_after_sigterm": stopped,
            "claims_per_second": claims,
        },
    )


if __name__ == "__main__":
    main()
