"""Rows that pages show: jobs in each state, as workers would have recorded them."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import insert, select

from fitqueue.datasets import BUILTIN
from fitqueue.spec import parse_job
from fitqueue.states import Phase, Reason
from service import clock
from service.db import Database
from service.ids import new_id
from service.models import Epoch, EpochMetric, Job
from service.store import attempt_outcomes, jobs, leases, recording
from service.store.leases import Lease
from tests.reports import epoch_ended
from tests.small_job import small_job

_numbers = itertools.count()

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&lt;${1}{{2}}%{y}\u202e"
"""Text that no page may take for anything but text."""


def store_job(database: Database, epochs: int = 10, **fields: Any) -> str:
    """Store a queued job in a pool of its own, and return its id. Keyword arguments replace top-level fields."""
    raw = {**small_job(epochs), "resources": {"pool": f"pool-{next(_numbers)}"}, **fields}
    spec = parse_job(raw, lambda name: BUILTIN[name].info if name in BUILTIN else None).spec
    with database.write() as session:
        return jobs.create(session, spec, []).id


def store_copies(database: Database, job_id: str, count: int) -> None:
    """Store so many copies of a queued job, which were submitted after it."""
    with database.write() as session:
        row = session.execute(select(Job.__table__).where(Job.id == job_id)).mappings().one()
        session.execute(insert(Job), [{**row, "id": new_id("job")} for _ in range(count)])


def claim(database: Database, job_id: str, worker: str = "w1") -> Lease:
    """Let a worker claim this job, which must be the next of its pool."""
    with database.write() as session:
        pool = jobs.get(session, job_id).pool
        claimed = leases.claim(session, worker, [pool], [], 3600)
        assert claimed is not None
        assert claimed.lease.job_id == job_id
        recording.record_phase(session, leases.held_job(session, claimed.lease), Phase.TRAINING)
        return claimed.lease


def record_epochs(database: Database, lease: Lease, logs: Iterable[Mapping[str, float]], first: int = 1) -> None:
    """Record epochs with these logs one after the other, as a worker does."""
    with database.write() as session:
        job = leases.held_job(session, lease)
        for epoch, values in enumerate(logs, first):
            recording.record_epoch(session, job, epoch_ended(epoch, values))


def insert_epochs(database: Database, lease: Lease, count: int, values: Mapping[str, Any]) -> None:
    """Insert many epochs at once, without their events.

    Args:
        values: for each metric, a function from the number of an epoch to its value.
    """
    numbers = range(1, count + 1)
    with database.write() as session:
        now = clock.now(session)
        job = session.get_one(Job, lease.job_id)
        job.epoch, job.step, job.steps, job.version = count, 3, 3, job.version + 1
        base = {"job_id": lease.job_id, "learning_rate": 0.1, "seconds": 1.0, "steps": 3, "attempt": lease.attempt}
        session.execute(insert(Epoch), [{**base, "epoch": epoch, "finished_at": now} for epoch in numbers])
        session.execute(
            insert(EpochMetric),
            [
                {"job_id": lease.job_id, "epoch": epoch, "name": name, "ordinal": ordinal, "value": value(epoch)}
                for epoch in numbers
                for ordinal, (name, value) in enumerate(values.items())
            ],
        )


def finish(database: Database, lease: Lease, reason: Reason = Reason.COMPLETED, message: str = "All done.") -> None:
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, reason, message)
