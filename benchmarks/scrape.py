"""Measure the milliseconds of one scrape of `/metrics`, on both databases, with many jobs in them."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from flask.testing import FlaskClient
from sqlalchemy import insert

from benchmarks.common import cnn_job, report
from benchmarks.durability import postgres
from fitqueue.spec import parse_job
from fitqueue.states import EventKind, JobState, Reason
from service.app import create_app
from service.db import Database
from service.migrate import upgrade
from service.models import Epoch, Event, Job
from service.settings import Settings
from service.store import counters, jobs, tokens, workers
from service.store.counters import Duration

JOBS, EPOCHS_EACH, WAITING = 10_000, 10, 5_000
SCRAPES = 30


def fill(database: Database) -> str:
    """Write the jobs, half of them queued and half ended, with events and epochs; return a token."""
    spec = parse_job(cnn_job("digits", epochs=EPOCHS_EACH), lambda _: None).spec
    with database.write() as session:
        first = jobs.create(session, spec, [])
        columns = {column.name: getattr(first, column.name) for column in Job.__table__.columns}
        ended = {"state": JobState.SUCCEEDED, "reason": Reason.COMPLETED, "finished_at": first.created_at}
        ids = [f"{first.id}_{n:05d}" for n in range(JOBS)]
        rows = [{**columns, "id": job_id, **(ended if n >= WAITING else {})} for n, job_id in enumerate(ids)]
        session.execute(insert(Job), [{**row, "pool": f"pool{n % 8}"} for n, row in enumerate(rows)])
        at = {"attempt": 0, "at": first.created_at}
        event = {**at, "kind": EventKind.SUBMITTED, "message": "The job was checked and stored.", "data": {}}
        session.execute(insert(Event), [{**event, "job_id": job_id} for _ in range(EPOCHS_EACH) for job_id in ids])
        epoch = {"learning_rate": 0.1, "seconds": 1.0, "steps": 9, "attempt": 1, "finished_at": first.created_at}
        numbers = range(1, EPOCHS_EACH + 1)
        session.execute(insert(Epoch), [{**epoch, "job_id": job_id, "epoch": n} for job_id in ids for n in numbers])
        for n in range(8):
            workers.register(session, f"wk_{n}", host="h", pools=[f"pool{n}"], slots=2, devices=[], gpus=[f"GPU-{n}"])
            for duration, bounds in counters.BUCKET_BOUNDS.items():
                for seconds in bounds:
                    counters.observe(session, Duration(duration), f"pool{n}", seconds)
        return tokens.create(session, name="benchmark")


@contextmanager
def client(url: str, folder: str) -> Iterator[FlaskClient]:
    upgrade(url)
    database = Database(url)
    token = fill(database)
    database.close()
    http = create_app(Settings(database_url=url, redis_url="redis://127.0.0.1:1/0", storage=Path(folder))).test_client()
    http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    yield http


def milliseconds(url: str, folder: str) -> float:
    taken = []
    with client(url, folder) as http:
        for _ in range(SCRAPES):
            began = time.perf_counter()
            answer = http.get("/metrics")
            taken.append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200
            assert "fitqueue_queue_length" in answer.text
    return median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder, postgres() as url:
        figures = {
            "sqlite": milliseconds(f"sqlite:///{folder}/fitqueue.db", folder),
            "postgresql": milliseconds(url, folder),
        }
    what = f"a scrape, {JOBS:,} jobs, {WAITING:,} of them waiting, {JOBS * EPOCHS_EACH:,} epochs and events"
    report("scrape", [(f"{what}, {name}", f"{ms:.0f} ms") for name, ms in figures.items()], {"milliseconds": figures})


if __name__ == "__main__":
    main()
