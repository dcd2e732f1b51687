"""How many jobs several workers claim in a second, on both databases."""

import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, text

from benchmarks.common import cnn_job, columns_of
from benchmarks.postgres import running_postgres
from fitqueue.spec import parse_job
from fitqueue.states import JobState
from service.db import Database
from service.migrate import upgrade
from service.models import Job
from service.store import jobs, leases

CLAIMERS: Final = 8
QUEUED: Final = 10_000
USERS: Final = 30
"""Among whom the claims go by turns. With one user, they go by age."""
LEASE_SECONDS: Final = 30.0


def measure_claims(url: str, each: int, users: int) -> float:
    """Return how many claims per second eight processes make, with 10,000 queued jobs; no job is claimed twice."""
    database = Database(url)
    _submit_jobs(database, users)
    start = multiprocessing.Event()
    answers: Any = multiprocessing.Queue()
    claimers = [
        multiprocessing.Process(target=_claim_jobs, args=(url, f"wk_{n}", each, start, answers), daemon=True)
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


def _claim_jobs(url: str, worker_id: str, each: int, start: Any, answers: Any) -> None:
    database = Database(url)
    with database.read() as session:
        session.execute(text("SELECT 1"))
    answers.put("ready")
    start.wait()
    job_ids = []
    for _ in range(each):
        with database.write() as session:
            claimed = leases.claim(session, worker_id, ["default"], [], LEASE_SECONDS)
        assert claimed is not None
        job_ids.append(claimed.lease.job_id)
    answers.put(job_ids)
    database.close()


def _submit_jobs(database: Database, users: int) -> None:
    """Submit jobs of so many users, one after the other."""
    spec = parse_job(cnn_job("digits", epochs=1), lambda _: None).spec
    with database.write() as session:
        first = jobs.create(session, spec, [])
        columns = columns_of(first)
        rows = [{**columns, "id": f"{first.id}_{n:05d}", "owner_id": f"usr_{n % users:02d}"} for n in range(QUEUED - 1)]
        session.execute(insert(Job), rows)
    assert first.state is JobState.QUEUED


def measure_claims_on_both_databases(each: int, users: int) -> dict[str, float]:
    """Return the claims per second by database; each of the eight claims so many jobs."""
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        url = f"sqlite:///{Path(folder) / 'fitqueue.db'}"
        upgrade(url)
        sqlite = measure_claims(url, each, users)
    with running_postgres() as url:
        return {"sqlite": sqlite, "postgresql": measure_claims(url, each, users)}
