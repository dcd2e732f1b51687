"""Whose turn it is on a machine with GPUs.

Jobs that need few GPUs go before one that needs many and does not fit yet, or the GPUs would stand idle; but not for
ever, or the large job would never start. After `RESERVATION_DELAY` the machine's GPUs are kept for it as they get free: what
stands behind it in the queue and needs GPUs waits until it has been taken. Jobs without GPUs are not concerned.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.states import JobState
from service.models import Job
from service.store import workers
from service.store.gpus import Machine

RESERVATION_DELAY: Final = timedelta(minutes=1)
"""For how long a job lets others go first that came later."""


def is_due(now: datetime) -> ColumnElement[bool]:
    return or_(Job.not_before.is_(None), Job.not_before <= now)


def may_claim_gpus(session: Session, machine: Machine, now: datetime, lease_seconds: float) -> ColumnElement[bool]:
    """The condition on a waiting job that fits the free GPUs of the machine."""
    if not machine.free:
        return true()  # only jobs without GPUs fit
    kept_for = [
        waiting
        for pool, most in _within_reach(session, machine, lease_seconds).items()
        if most > len(machine.free) and (waiting := _first_to_wait(session, pool, len(machine.free), most, now))
    ]
    if not kept_for:
        return true()
    priority, job_id = min(kept_for, key=lambda waiting: (-waiting[0], waiting[1]))
    return or_(Job.gpus == 0, Job.priority > priority, and_(Job.priority == priority, Job.id < job_id))


def _first_to_wait(session: Session, pool: str, free: int, most: int, now: datetime) -> tuple[int, str] | None:
    """Priority and id of the pool's first job that has waited long enough for more GPUs than are free."""
    query = (
        select(Job.priority, Job.id)
        .where(
            Job.state == JobState.QUEUED,
            Job.pool == pool,
            Job.gpus > free,
            Job.gpus <= most,
            Job.created_at <= now - RESERVATION_DELAY,
            is_due(now),
        )
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (row.priority, row.id)


def _within_reach(session: Session, machine: Machine, lease_seconds: float) -> dict[str, int]:
    """By pool, how many GPUs one of its jobs could get here, when others have ended.

    By all workers of the machine: they may serve different pools, and take the GPUs from each other's jobs.
    """
    most: dict[str, int] = {}
    for worker in workers.list_alive(session, lease_seconds):
        if not worker.gpus.isdisjoint(machine.seen):
            count = len(worker.gpus - machine.foreign)
            most |= {pool: max(count, most.get(pool, 0)) for pool in worker.pools}
    return most
