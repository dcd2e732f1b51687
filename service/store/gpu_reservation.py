"""Reservation of GPUs for large jobs: backfill with a reservation, as schedulers call it.

Jobs that need few GPUs may overtake one that needs many and does not fit yet, or the GPUs would stand idle. But not for
ever, or the large job would never start: after `RESERVATION_DELAY` the machine's GPUs are reserved for it as they
become free, and jobs behind it in the queue that need GPUs wait until it was claimed. Jobs without GPUs are not
affected.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, false, or_
from sqlalchemy.orm import Session

from service.forecast.schedule import RESERVATION_SECONDS
from service.forecast.turns import TurnsBy
from service.models import Job
from service.store import claim_order, transitions, workers
from service.store.claim_order import Condition, Turn
from service.store.gpus import Machine, most_by_pool

RESERVATION_DELAY: Final = timedelta(seconds=RESERVATION_SECONDS)
"""How long a job lets later ones overtake it."""


def conditions(
    session: Session,
    machine: Machine,
    may_run: Sequence[Condition],
    now: datetime,
    lease_seconds: float,
    by: TurnsBy,
) -> list[Condition]:
    """Return the conditions that a queued job, which fits the machine's free GPUs, overtakes no reservation.

    Args:
        may_run: the conditions that a job may run now; GPUs are reserved for no other.
    """
    if not machine.free:
        return []  # only jobs without GPUs fit
    reserving = [
        job
        for pool, most in _reachable_gpus(session, machine, lease_seconds).items()
        if most > len(machine.free)
        and (job := _first_reserving(session, pool, len(machine.free), most, may_run, now, by))
    ]
    if not reserving:
        return []
    goes_before = claim_order.before(session, reserving, by, now)
    return [lambda job: or_(job.gpus == 0, goes_before(job))]


def _first_reserving(
    session: Session, pool: str, free: int, most: int, may_run: Sequence[Condition], now: datetime, by: TurnsBy
) -> Turn | None:
    """Return the pool's first job that has waited long enough for more GPUs than are free. Preemptible ones do not."""
    since = now - RESERVATION_DELAY
    is_reserving = claim_order.all_of(_reserves, *may_run)
    statement = claim_order.select_turns(is_reserving, by) if may_run else _RESERVING[by]
    return claim_order.first(session, [pool], statement, {"now": now, "free": free, "most": most, "since": since})


def _reserves(job: Any) -> ColumnElement[bool]:
    since = bindparam("since", type_=Job.created_at.type)
    is_large = and_(job.gpus > bindparam("free"), job.gpus <= bindparam("most"), job.created_at <= since)
    return and_(is_large, job.preemptible == false(), transitions.is_claimable(transitions.NOW, job))


_RESERVING: Final = {by: claim_order.select_turns(_reserves, by) for by in TurnsBy}


def _reachable_gpus(session: Session, machine: Machine, lease_seconds: float) -> dict[str, int]:
    """Return how many GPUs a job of each pool could get on this machine once other jobs have ended.

    All workers of the machine count: they may serve different pools, and a GPU that a job of one of
    them frees can go to a job of another.
    """
    alive = workers.list_alive(session, lease_seconds)
    of_machine = [each for each in alive if not each.is_draining and not each.gpus.isdisjoint(machine.visible)]
    return most_by_pool((each.pools, len(each.gpus - machine.foreign)) for each in of_machine)
