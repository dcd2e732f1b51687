"""Measure what requests cost on a database with 100,000 jobs: CPU of API and database, requests a second, p99.

The CPU is that of an API in this process, and of the database's processes. Requests a second and p99 are those of one
API process and of two, which 16 clients ask at once. In the end a job of 300,000 epochs is deleted.
"""

import argparse
import gc
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from flask.testing import FlaskClient
from rich.progress import Progress
from sqlalchemy import insert, text

from benchmarks.common import cnn_job, columns_of, console, report
from benchmarks.postgres import running_postgres
from fitqueue.spec import parse_job
from fitqueue.states import JobState, Reason
from service.app import create_app
from service.db import Database, make_engine
from service.migrate import upgrade
from service.models import Checkpoint, Epoch, EpochMetric, Job, JobLabel
from service.processes import end, free_port
from service.settings import Settings
from service.store import datasets, deletions, jobs, tokens

QUEUED_SHARE, EPOCHS, CHECKPOINTS, DELETED_EPOCHS = 0.1, 5_000, 50_000, 300_000
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
CLIENTS, LOAD_SECONDS = 16, 5.0
CHUNK = 10_000
PREFIX, QUEUE = "/api/v1/jobs", "/api/v1/queue"


# --- The database --------------------------------------------------------------------------------------------------


def fill(database: Database, count: int) -> tuple[str, str, str, str]:
    """Write the jobs; return a token, and the ids of a queued job, one with many epochs, and another ended one."""
    spec = parse_job(cnn_job("digits", epochs=EPOCHS), lambda _: None).spec
    with database.write() as session:
        first = jobs.create(session, spec, [])
        columns = columns_of(first)
        ended = {"state": JobState.SUCCEEDED, "reason": Reason.COMPLETED}
        token = tokens.create(session, name="benchmark")
        by_most, by_few = (tokens.verify(session, tokens.create(session, name)) for name in ("most", "few"))
        for name in ("mnist-of-most", "mnist-of-few"):
            datasets.create(session, f"ds_{name}", name, "0" * 64, 1, {})
    queued = int(count * QUEUED_SHARE)
    ids = [f"{first.id}_{n:06d}" for n in range(count)]
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        rows = [
            {
                **columns,
                "id": ids[n],
                "pool": f"pool{n % 8}",
                "name": f"job {n}",
                "token_id": by_few if n % 5_000 == 0 else by_most,
                "dataset_id": f"ds_mnist-of-{'few' if n % 5_000 == 0 else 'most'}",
                "builtin_dataset": None,
                **(ended | {"finished_at": first.created_at + timedelta(seconds=n)} if n < count - queued else {}),
            }
            for n in numbers
        ]
        labels = [{"job_id": ids[n], "key": "team", "value": f"team{n % 20}"} for n in numbers]
        with database.write() as session:
            session.execute(insert(Job), rows)
            session.execute(insert(JobLabel), labels)
    write_epochs(database, ids[0], EPOCHS)
    _write_checkpoints(database, ids[0], first.created_at)
    return token, ids[-1], ids[0], ids[1]


def _vacuum(url: str) -> None:
    """Do at once what PostgreSQL does by itself within minutes of so many writes."""
    engine = make_engine(url)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def write_epochs(database: Database, job_id: str, count: int) -> None:
    at = datetime.now(UTC)
    epoch = {"job_id": job_id, "learning_rate": 0.1, "seconds": 1.0, "steps": 9, "attempt": 1, "finished_at": at}
    for start in range(1, count + 1, CHUNK):
        numbers = range(start, min(start + CHUNK, count + 1))
        values = [
            {"job_id": job_id, "epoch": n, "name": name, "ordinal": ordinal, "value": 1 / (n + ordinal)}
            for n in numbers
            for ordinal, name in enumerate(METRICS)
        ]
        with database.write() as session:
            session.execute(insert(Epoch), [{**epoch, "epoch": n} for n in numbers])
            session.execute(insert(EpochMetric), values)


def _write_checkpoints(database: Database, job_id: str, at: Any) -> None:
    checkpoint = {
        "job_id": job_id, "format": "weights.h5", "batch": None, "metrics": dict.fromkeys(METRICS, 0.5),
        "monitor": "val_loss", "value": 0.5, "size": 1000, "sha256": "0" * 64, "attempt": 1, "created_at": at,
    }  # fmt: skip
    with database.write() as session:
        session.execute(
            insert(Checkpoint),
            [
                {**checkpoint, "name": f"ep{n:05d}.weights.h5", "storage_key": f"a/{n}", "epoch": n}
                for n in range(1, CHECKPOINTS + 1)
            ],
        )


def requests(queued: str, long: str) -> dict[str, str]:
    """Return the measured requests by their names."""
    same_labels = "&".join(["label=team%3Dteam3"] * 16)
    return {
        "a queued job": f"{PREFIX}/{queued}",
        "an ended job": f"{PREFIX}/{long}",
        "50 jobs": PREFIX,
        "50 jobs, queued": f"{PREFIX}?state=queued",
        "50 jobs, running (none)": f"{PREFIX}?state=running",
        "50 jobs of a pool": f"{PREFIX}?pool=pool3",
        "50 jobs of a pool without jobs": f"{PREFIX}?pool=none",
        "50 jobs, failed (none), of a pool": f"{PREFIX}?state=failed&pool=pool3",
        "jobs of a name": f"{PREFIX}?name=job+77",
        "jobs of a name without jobs": f"{PREFIX}?name=none",
        "50 jobs with a label": f"{PREFIX}?label=team%3Dteam3",
        "50 jobs with a label, sixteen times": f"{PREFIX}?{same_labels}",
        "50 jobs with a label without jobs": f"{PREFIX}?label=team%3Dnone",
        "50 jobs, queued, with a label": f"{PREFIX}?state=queued&label=team%3Dteam3",
        "50 jobs, running (none), with a label": f"{PREFIX}?state=running&label=team%3Dteam3",
        "50 jobs of who submitted most": f"{PREFIX}?submitted_by=most",
        "jobs of who submitted few": f"{PREFIX}?submitted_by=few",
        "50 jobs, running (none), of who submitted most": f"{PREFIX}?submitted_by=most&state=running",
        "50 jobs with a data set": f"{PREFIX}?dataset=mnist-of-most",
        "jobs with a rare data set": f"{PREFIX}?dataset=mnist-of-few",
        "50 jobs with a built-in data set without jobs": f"{PREFIX}?dataset=digits",
        "50 jobs, oldest": f"{PREFIX}?sort=oldest",
        "50 jobs, by name": f"{PREFIX}?sort=name",
        "50 jobs, by name, of a pool": f"{PREFIX}?sort=name&pool=pool3",
        "50 jobs, by name, succeeded": f"{PREFIX}?sort=name&state=succeeded",
        "50 jobs, by name, of who submitted most": f"{PREFIX}?sort=name&submitted_by=most",
        "50 jobs, by name, with a label": f"{PREFIX}?sort=name&label=team%3Dteam3",
        "50 jobs, by end": f"{PREFIX}?sort=finished",
        "50 jobs, by end, succeeded": f"{PREFIX}?sort=finished&state=succeeded",
        "50 jobs, by end, running (none)": f"{PREFIX}?sort=finished&state=running",
        "50 jobs, by end, of who submitted most": f"{PREFIX}?sort=finished&submitted_by=most",
        "50 waiting jobs": QUEUE,
        "50 waiting jobs of a pool": f"{QUEUE}?pool=pool3",
        f"metrics of {EPOCHS:,} epochs": f"{PREFIX}/{long}/metrics?limit={EPOCHS}",
        f"metrics of {EPOCHS:,} epochs, CSV": f"{PREFIX}/{long}/metrics?format=csv",
        "1,000 of 50,000 checkpoints": f"{PREFIX}/{long}/checkpoints",
    }


# --- CPU -----------------------------------------------------------------------------------------------------------


def cpu_of(processes: Sequence[psutil.Process]) -> float:
    """Return the CPU seconds of this process and of these, with those of their ended children."""
    return time.process_time() + sum(sum(process.cpu_times()[:4]) for process in processes)


def serving_processes(database: Database) -> list[psutil.Process]:
    """Return the processes of PostgreSQL that serve this database; none for SQLite."""
    with database.read() as session:
        if session.get_bind().dialect.name == "sqlite":
            return []
        query = text(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return [psutil.Process(pid) for pid in session.scalars(query)]


def measure_cpu(http: FlaskClient, path: str, database: Database, seconds: float = 1.0) -> float:
    """Return the CPU milliseconds of a request."""
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    servers, began, count = serving_processes(database), time.monotonic(), 0
    before = cpu_of(servers)
    while time.monotonic() < began + seconds or count < 10:
        http.get(path).get_data()
        count += 1
    return 1000 * (cpu_of(servers) - before) / count


# --- Load ----------------------------------------------------------------------------------------------------------


@contextmanager
def running_api(url: str, folder: str, count: int) -> Iterator[list[str]]:
    """Start API processes; yield their addresses."""
    with ExitStack() as on_exit:
        addresses = []
        for _ in range(count):
            port = free_port(0)
            environment = {
                **os.environ,
                "FITQUEUE_DATABASE_URL": url,
                "FITQUEUE_REDIS_URL": "redis://127.0.0.1:1/0",
                "FITQUEUE_STORAGE": folder,
                "FITQUEUE_HOST": "127.0.0.1",
                "FITQUEUE_PORT": str(port),
            }
            command = [sys.executable, "-m", "gunicorn", "--config", "python:service.gunicorn_settings"]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            on_exit.callback(end, process, 10.0)
            addresses.append(f"http://127.0.0.1:{port}")
        for address in addresses:
            _wait_until_alive(address)
        yield addresses


def _wait_until_alive(address: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{address}/healthz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"The API at {address} does not answer.")


def measure_load(addresses: Sequence[str], token: str, path: str) -> tuple[float, float]:
    """Return the requests a second and the p99 in milliseconds."""
    until = time.monotonic() + LOAD_SECONDS

    def ask(address: str) -> list[float]:
        times = []
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
            while (began := time.monotonic()) < until:
                assert http.get(path).status_code == 200
                times.append(time.monotonic() - began)
        return times

    with ThreadPoolExecutor(CLIENTS) as threads:
        chosen = itertools.islice(itertools.cycle(addresses), CLIENTS)
        times = sorted(itertools.chain.from_iterable(threads.map(ask, chosen)))
    return len(times) / LOAD_SECONDS, 1000 * times[int(0.99 * (len(times) - 1))]


# --- Deletion ------------------------------------------------------------------------------------------------------


def measure_deletion(http: FlaskClient, database: Database, job_id: str) -> dict[str, float]:
    """Return the seconds of the DELETE, of the longest step of what follows, and of all its steps."""
    write_epochs(database, job_id, DELETED_EPOCHS)
    began = time.perf_counter()
    assert http.delete(f"{PREFIX}/{job_id}").status_code == 204
    seconds = {"request": time.perf_counter() - began}
    steps = []
    is_done = False
    while not is_done:
        began = time.perf_counter()
        with database.write() as session:
            is_done = deletions.delete_some(session) is None
        steps.append(time.perf_counter() - began)
    return seconds | {"longest_step": max(steps), "all_steps": sum(steps), "steps": len(steps)}


# --- The report ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What was measured with one database."""

    cpu: dict[str, float]
    """Milliseconds by request."""
    load: dict[str, tuple[float, float]]
    """Requests a second and p99 in milliseconds, by request and number of API processes."""
    deletion: dict[str, float]


def measure(url: str, folder: str, count: int, name: str, progress: Progress) -> Figures:
    task = progress.add_task(f"{name}: writing {count:,} jobs", total=None)
    upgrade(url)
    database = Database(url)
    token, queued, long, ended = fill(database, count)
    _vacuum(url)
    http = create_app(Settings(database_url=url, redis_url="redis://127.0.0.1:1/0", storage=Path(folder))).test_client()
    http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    gc.collect()
    gc.freeze()  # as in an API that gunicorn serves
    paths = requests(queued, long)
    progress.update(task, description=f"{name}: CPU of requests", total=len(paths) + 4)
    cpu = {}
    for title, path in paths.items():
        cpu[title] = measure_cpu(http, path, database)
        progress.advance(task)
    load = {}
    for processes in (1, 2):
        with running_api(url, folder, processes) as addresses:
            for title in ("an ended job", "50 jobs"):
                load[f"{title}, {processes} API"] = measure_load(addresses, token, paths[title])
                progress.advance(task)
    progress.update(task, description=f"{name}: deleting a job of {DELETED_EPOCHS:,} epochs")
    deletion = measure_deletion(http, database, ended)
    database.close()
    return Figures(cpu, load, deletion)


def table(figures: Mapping[str, Figures]) -> list[tuple[str, str]]:
    first = next(iter(figures.values()))
    rows = [
        (title, ", ".join(f"{name} {each.cpu[title]:.1f} ms" for name, each in figures.items())) for title in first.cpu
    ]
    for title in first.load:
        loads = {name: each.load[title] for name, each in figures.items()}
        rows.append((title, "; ".join(f"{name} {rate:.0f}/s, p99 {p99:.0f} ms" for name, (rate, p99) in loads.items())))
    for name, each in figures.items():
        request, longest = 1000 * each.deletion["request"], each.deletion["longest_step"]
        steps = f"{each.deletion['steps']:.0f} steps in {each.deletion['all_steps']:.0f} s, the longest {longest:.2f} s"
        rows.append((f"DELETE of {DELETED_EPOCHS:,} epochs, {name}", f"{request:.0f} ms, then {steps}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="how many jobs the database has")
    count = parser.parse_args().jobs
    with (
        tempfile.TemporaryDirectory(prefix="fitqueue-") as folder,
        running_postgres() as postgres,
        Progress(console=console) as progress,
    ):
        urls = {"sqlite": f"sqlite:///{folder}/fitqueue.db", "postgresql": postgres}
        figures = {name: measure(url, folder, count, name, progress) for name, url in urls.items()}
    report("api", table(figures), {"jobs": count, **{name: asdict(each) for name, each in figures.items()}})


if __name__ == "__main__":
    main()
