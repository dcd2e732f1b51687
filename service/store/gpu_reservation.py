"""Reservation of GPUs for large jobs: backfill with a reservation, as schedulers call it.

Jobs that need few GPUs may overtake one that needs many and does not fit yet, or the GPUs would stand idle. But not for
ever, or the large job would never start: after `RESERVATION_DELAY` the machine's GPUs are reserved for it as they
become free, and jobs behind it in the queue that need GPUs wait until it was claimed. Jobs without GPUs are not
affected.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.states import JobState
from service.forecast.schedule import RESERVATION_SECONDS
from service.models import Job
from service.store import transitions, workers
from service.store.gpus import Machine

RESERVATION_DELAY: Final = timedelta(seconds=RESERVATION_SECONDS)
"""How long a job lets later ones overtake it."""


def may_claim_gpus(
    session: Session, machine: Machine, may_run: ColumnElement[bool], now: datetime, lease_seconds: float
) -> ColumnElement[bool]:
    """Return the condition that a queued job, which fits the machine's free GPUs, overtakes no reservation.

    Args:
        may_run: the condition that a job may run now; GPUs are reserved for no other.
    """
    if not machine.free:
        return true()  # only jobs without GPUs fit
    reservations = [
        job
        for pool, most in _reachable_gpus(session, machine, lease_seconds).items()
        if most > len(machine.free) and (job := _first_reserving(session, pool, len(machine.free), most, may_run, now))
    ]
    if not reservations:
        return true()
    priority, job_id = min(reservations, key=lambda reservation: (-reservation[0], reservation[1]))
    return or_(Job.gpus == 0, Job.priority > priority, and_(Job.priority == priority, Job.id < job_id))


def _first_reserving(
    session: Session, pool: str, free: int, most: int, may_run: ColumnElement[bool], now: datetime
) -> tuple[int, str] | None:
    """Return priority and id of the pool's first job that has waited long enough for more GPUs than are free."""
    query = (
        select(Job.priority, Job.id)
        .where(
            Job.state == JobState.QUEUED,
            Job.pool == pool,
            Job.gpus > free,
            Job.gpus <= most,
            Job.created_at <= now - RESERVATION_DELAY,
            transitions.is_claimable(now),
            may_run,
        )
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (row.priority, row.id)


def _reachable_gpus(session: Session, machine: Machine, lease_seconds: float) -> dict[str, int]:
    """Return how many GPUs a job of each pool could get on this machine once other jobs have ended.

    All workers of the machine count: they may serve different pools, and a GPU that a job of one of
    them frees can go to a job of another.
    """
    most: dict[str, int] = {}
    for worker in workers.list_alive(session, lease_seconds):
        if not worker.is_draining and not worker.gpus.isdisjoint(machine.visible):
            count = len(worker.gpus - machine.foreign)
            most |= {pool: max(count, most.get(pool, 0)) for pool in worker.pools}
    return most
