"""A claim: which queued job a worker gets, and that it gets it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, not_, select
from sqlalchemy.orm import Session

from service import clock
from service.forecast.turns import TurnsBy
from service.models import QUEUED, Job
from service.store import claim_limits, claim_order, gpu_reservation, preemption, transitions, turns
from service.store.claim_order import Condition, Turn
from service.store.gpus import Machine
from service.store.transitions import Claimed


def _fits(job: Any, free_gpus: Any, now: Any) -> ColumnElement[bool]:
    """Return the condition that a worker with so many free GPUs may claim a job now, whoever waits beside it."""
    return and_(job.gpus <= free_gpus, transitions.is_claimable(now, job))


def _fits_parameters(job: Any) -> ColumnElement[bool]:
    return _fits(job, bindparam("free_gpus"), bindparam("now", type_=Job.not_before.type))


# Most claims have no other condition, and building a statement takes longer than running it.
_TURNS: Final = {by: claim_order.select_turns(_fits_parameters, by) for by in TurnsBy}
_CHARGES: Final = {by: turns.claim_charge(by) for by in TurnsBy}


def claim_first(
    session: Session, worker_id: str, pools: Sequence[str], machine: Machine, lease_seconds: float, by: TurnsBy
) -> Claimed | None:
    """Claim the first job in these pools that fits the machine; None if none does."""
    within_limits = claim_limits.conditions(session)
    now = clock.now(session)
    expires_at = now + timedelta(seconds=lease_seconds)
    free_gpus = len(machine.free)
    passed: list[Turn] = []
    is_locked = False
    while True:
        reserved = gpu_reservation.conditions(session, machine, within_limits, now, lease_seconds, by)
        made_room = preemption.conditions(session, machine)
        others = [*within_limits, *reserved, *made_room, *(_is_not(turn) for turn in passed)]
        may_claim = claim_order.all_of(_fits_parameters, *others)
        statement = claim_order.select_turns(may_claim, by) if others else _TURNS[by]
        turn = claim_order.first(session, pools, statement, now, free_gpus=free_gpus)
        if turn is None:
            return None
        if turn.is_contested and not is_locked:
            is_locked = True
            if claim_order.lock(session):
                continue  # with what others have claimed until now
        fits = (_fits(Job, free_gpus, now), *(condition(Job) for condition in others))
        # SKIP LOCKED: workers that claim at the same time take different jobs. SQLite has one writer, and ignores it.
        candidate = select(Job.id).where(Job.state == QUEUED, turn.jobs(Job), *fits).order_by(Job.id).limit(1)
        claimed = transitions.claim(
            session,
            candidate.with_for_update(skip_locked=True).scalar_subquery(),
            worker_id,
            machine.free,
            expires_at,
            now,
            _CHARGES[by],
        )
        if claimed is not None:
            return claimed
        passed.append(turn)  # others are claiming the last of these jobs at this moment


def _is_not(turn: Turn) -> Condition:
    return lambda job: not_(turn.jobs(job))
