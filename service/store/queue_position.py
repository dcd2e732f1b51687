"""Where a job stands in its queue, and what it waits for, in words."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from fitqueue.views import QueuePosition
from service import clock
from service.models import Job
from service.store import workers
from service.store.workers import LiveWorker


def places(session: Session, jobs: Sequence[Job], lease_seconds: float) -> dict[str, QueuePosition]:
    """By id, the place of each of these jobs that waits."""
    waiting = [job for job in jobs if job.state is JobState.QUEUED]
    if not waiting:
        return {}
    positions = _positions(session, waiting)
    alive = workers.list_alive(session, lease_seconds)
    now = clock.now(session)
    return {
        job.id: QueuePosition(position=positions[job.id], waiting_for=waiting_for(job, alive, now))
        for job in waiting
        if job.id in positions
    }


def waiting_for(job: Job, alive: Sequence[LiveWorker], now: datetime) -> str:
    serving = [worker for worker in alive if job.pool in worker.pools]
    if not serving:
        return f"no worker serves the pool '{job.pool}'"
    most = max(len(worker.gpus) for worker in serving)
    needed = f"{job.gpus} GPU{'s' if job.gpus > 1 else ''}"
    if job.gpus > most:
        return f"needs {needed}; the largest live worker has {most}"
    if job.not_before is not None and job.not_before > now:
        return f"job is backing off until {job.not_before:%Y-%m-%dT%H:%M:%SZ}, since its worker was lost"
    return f"a worker with {needed} free" if job.gpus else "a free worker"


def _positions(session: Session, waiting: Sequence[Job]) -> dict[str, int]:
    ranked = (
        select(
            Job.id,
            func.row_number().over(partition_by=Job.pool, order_by=(Job.priority.desc(), Job.id)).label("position"),
        )
        .where(Job.state == JobState.QUEUED, Job.pool.in_({job.pool for job in waiting}))
        .subquery()
    )
    rows = session.execute(select(ranked.c.id, ranked.c.position).where(ranked.c.id.in_([job.id for job in waiting])))
    return {row[0]: row[1] for row in rows}
