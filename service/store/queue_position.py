"""The position of a queued job, and what it waits for, in words."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.states import EventKind, JobState
from fitqueue.views import QueuePosition
from service import clock
from service.models import Event, Job
from service.store import workers
from service.store.workers import LiveWorker


def read(session: Session, jobs: Sequence[Job], lease_seconds: float) -> dict[str, QueuePosition]:
    """Return the queue position of each of these jobs that is queued, by job id."""
    queued = [job for job in jobs if job.state is JobState.QUEUED]
    if not queued:
        return {}
    now = clock.now(session)
    positions = _positions(session, queued)
    alive = workers.list_alive(session, lease_seconds)
    failures = _last_failures(session, [job.id for job in queued if _pauses(job, now)])
    return {
        job.id: QueuePosition(
            position=positions[job.id], waiting_for=waiting_for(job, alive, now, failures.get(job.id))
        )
        for job in queued
        if job.id in positions
    }


def waiting_for(job: Job, alive: Sequence[LiveWorker], now: datetime, failure: str | None = None) -> str:
    """Return what a queued job waits for, as it reads after «waiting for».

    Args:
        alive: the live workers of all pools.
        failure: why its last attempt failed, if it did.
    """
    serving = [worker for worker in alive if job.pool in worker.pools]
    if not serving:
        return f"a worker that serves the pool '{job.pool}'; none is alive"
    most = max(len(worker.gpus) for worker in serving)
    gpus = f"{job.gpus} GPU{'s' if job.gpus > 1 else ''}"
    if job.gpus > most:
        return f"{gpus} on one machine; the largest live worker has {most}"
    if _pauses(job, now):
        cause = f"; the last one failed: {failure}" if failure else ""
        return f"its next attempt at {job.not_before:%Y-%m-%dT%H:%M:%SZ}{cause}"
    return f"a worker with {gpus} free" if job.gpus else "a free worker"


def _pauses(job: Job, now: datetime) -> bool:
    return job.not_before is not None and job.not_before > now


def _positions(session: Session, queued: Sequence[Job]) -> Mapping[str, int]:
    ranked = (
        select(
            Job.id,
            func.row_number().over(partition_by=Job.pool, order_by=(Job.priority.desc(), Job.id)).label("position"),
        )
        .where(Job.state == JobState.QUEUED, Job.pool.in_({job.pool for job in queued}))
        .subquery()
    )
    rows = session.execute(select(ranked.c.id, ranked.c.position).where(ranked.c.id.in_([job.id for job in queued])))
    return {row[0]: row[1] for row in rows}


def _last_failures(session: Session, job_ids: Collection[str]) -> Mapping[str, str]:
    """Return why the last attempt of each job failed."""
    if not job_ids:
        return {}
    newest = (
        select(func.max(Event.id))
        .where(Event.job_id.in_(job_ids), Event.kind == EventKind.REQUEUED)
        .group_by(Event.job_id)
    )
    rows = session.execute(select(Event.job_id, Event.data).where(Event.id.in_(newest)))
    return {job_id: data["failure"] for job_id, data in rows if "failure" in data}
