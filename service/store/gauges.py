"""The current state of the service: all jobs, queues and workers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service import clock
from service.models import GPUClaim, Job
from service.store import events, workers
from service.store.workers import LiveWorker

MAX_QUEUES: Final = 200
"""Anybody may name a pool. Of the pools that were never served, only the longest queues are reported."""


@dataclass(frozen=True)
class Queue:
    """The queued jobs of a pool. `oldest_seconds` is how long the oldest of them has been queued."""

    length: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True)
class Gauges:
    jobs: dict[JobState, int]
    queues: dict[str, Queue]
    running: dict[str, int]
    """Running jobs by pool."""
    workers: list[LiveWorker]
    gpus_in_use: int


def read(session: Session, lease_seconds: float, served: Collection[str] = ()) -> Gauges:
    """Read all gauges.

    Args:
        served: pools whose queues are reported however short they are, besides those of live workers.
    """
    alive = workers.list_alive(session, lease_seconds)
    return Gauges(
        jobs=_by_state(session),
        queues=_queues(session, {*served}.union(*(worker.pools for worker in alive))),
        running=_running(session),
        workers=alive,
        gpus_in_use=session.scalar(select(func.count()).select_from(GPUClaim)) or 0,
    )


def _by_state(session: Session) -> dict[JobState, int]:
    counts = dict.fromkeys(JobState, 0)
    query = select(Job.state, func.count()).where(Job.deleted_at.is_(None)).group_by(Job.state)
    for state, count in session.execute(query):
        counts[state] = count
    return counts


def _running(session: Session) -> dict[str, int]:
    rows = session.execute(select(Job.pool, func.count()).where(Job.state == JobState.RUNNING).group_by(Job.pool))
    return {pool: count for pool, count in rows}  # noqa: C416 -- to the type checker rows are not pairs


def _queues(session: Session, served: Collection[str]) -> dict[str, Queue]:
    now = clock.now(session)
    since = func.coalesce(events.last_at(Job.id), Job.created_at).label("since")
    queued = select(Job.pool, since).where(Job.state == JobState.QUEUED).subquery()
    length = func.count()
    rows = session.execute(
        select(queued.c.pool, length, func.min(queued.c.since))
        .group_by(queued.c.pool)
        .order_by(case((queued.c.pool.in_(served), 0), else_=1), length.desc(), queued.c.pool)
        .limit(MAX_QUEUES + len(served))
    )
    return {pool: Queue(count, max((now - since).total_seconds(), 0.0)) for pool, count, since in rows}
