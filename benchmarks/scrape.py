"""Measure the milliseconds of one scrape of `/metrics`, on both databases, with many jobs in them."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from flask.testing import FlaskClient
from sqlalchemy import insert

from benchmarks.common import cnn_job, columns_of, report
from benchmarks.postgres import running_postgres
from fitqueue.spec import parse_job
from fitqueue.states import EventKind, JobState, Reason
from service.app import create_app
from service.db import Database
from service.migrate import upgrade
from service.models import Epoch, Event, Job
from service.settings import Settings
from service.store import counters, jobs, tokens, workers
from service.store.counters import Duration

JOBS, EPOCHS_EACH, QUEUED = 10_000, 10, 5_000
SCRAPES = 30


def fill_database(database: Database) -> str:
    """Write the jobs, half of them queued and half ended, with events and epochs; return a token."""
    spec = parse_job(cnn_job("digits", epochs=EPOCHS_EACH), lambda _: None).spec
    with database.write() as session:
        first = jobs.create(session, spec, [])
        columns = columns_of(first)
        ended = {"state": JobState.SUCCEEDED, "reason": Reason.COMPLETED, "finished_at": first.created_at}
        ids = [f"{first.id}_{n:05d}" for n in range(JOBS)]
        rows = [{**columns, "id": job_id, **(ended if n >= QUEUED else {})} for n, job_id in enumerate(ids)]
        session.execute(insert(Job), [{**row, "pool": f"pool{n % 8}"} for n, row in enumerate(rows)])
        event = {
            "attempt": 0,
            "at": first.created_at,
            "kind": EventKind.SUBMITTED,
            "message": "The job was checked and stored.",
            "data": {},
        }
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
def filled_api(url: str, folder: str) -> Iterator[FlaskClient]:
    """Yield a client of an API whose database has many jobs."""
    upgrade(url)
    database = Database(url)
    token = fill_database(database)
    database.close()
    http = create_app(Settings(database_url=url, redis_url="redis://127.0.0.1:1/0", storage=Path(folder))).test_client()
    http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    yield http


def measure_milliseconds(url: str, folder: str) -> float:
    """Return the median of the milliseconds of a scrape."""
    milliseconds = []
    with filled_api(url, folder) as http:
        for _ in range(SCRAPES):
            began = time.perf_counter()
            answer = http.get("/metrics")
            milliseconds.append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200
            assert "fitqueue_queue_length" in answer.text
    return median(milliseconds)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder, running_postgres() as url:
        figures = {
            "sqlite": measure_milliseconds(f"sqlite:///{folder}/fitqueue.db", folder),
            "postgresql": measure_milliseconds(url, folder),
        }
    title = f"a scrape of {JOBS:,} jobs, {QUEUED:,} of them queued, with {JOBS * EPOCHS_EACH:,} epochs and events"
    rows = [(f"{title}, {name}", f"{milliseconds:.0f} ms") for name, milliseconds in figures.items()]
    report("scrape", rows, {"milliseconds": figures})


if __name__ == "__main__":
    main()
