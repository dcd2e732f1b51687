"""A claim: which queued job a worker gets, and that it gets it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Update, and_, bindparam, not_, select
from sqlalchemy.orm import Session

from service import clock
from service.forecast.turns import TurnsBy
from service.models import QUEUED, Job
from service.store import claim_limits, claim_order, gpu_reservation, preemption, transitions, turns
from service.store.claim_order import Condition, Turn
from service.store.gpus import Machine
from service.store.transitions import Claimed


def _fits(job: Any) -> ColumnElement[bool]:
    """Return the condition that a worker with `:free_gpus` may claim a job `:now`, whoever waits beside it."""
    return and_(job.gpus <= bindparam("free_gpus"), transitions.is_claimable(transitions.NOW, job))


def _claim_of_turn(may_claim: Condition, by: TurnsBy) -> Update:
    """Return the statement that claims the oldest job of a turn that meets a condition.

    SKIP LOCKED: workers that claim at the same time take different jobs. SQLite has one writer, and ignores it.
    """
    jobs = select(Job.id).where(Job.state == QUEUED, claim_order.jobs_of_turn(Job), may_claim(Job))
    oldest = jobs.order_by(Job.id).limit(1).with_for_update(skip_locked=True)
    return transitions.claim_statement(oldest.scalar_subquery(), turns.claim_charge(by))


# Most claims have no other condition, and building a statement takes longer than running it.
_TURNS: Final = {by: claim_order.select_turns(_fits, by) for by in TurnsBy}
_CLAIMS: Final = {by: _claim_of_turn(_fits, by) for by in TurnsBy}


def claim_first(
    session: Session, worker_id: str, pools: Sequence[str], machine: Machine, lease_seconds: float, by: TurnsBy
) -> Claimed | None:
    """Claim the first job in these pools that fits the machine; None if none does."""
    within_limits = claim_limits.conditions(session)
    now = clock.now(session)
    expires_at = now + timedelta(seconds=lease_seconds)
    fit = {"free_gpus": len(machine.free), "now": now}
    spared: list[Condition] | None = None
    passed: list[Turn] = []
    is_locked = False
    while True:
        reserved = gpu_reservation.conditions(session, machine, within_limits, now, lease_seconds, by)
        others = [*within_limits, *reserved, *(spared or ()), *(_is_not(turn) for turn in passed)]
        may_claim = claim_order.all_of(_fits, *others)
        turn = claim_order.first(session, pools, claim_order.select_turns(may_claim, by) if others else _TURNS[by], fit)
        if turn is None:
            return None
        if turn.preemptible and machine.visible and spared is None:
            spared = preemption.conditions(session, worker_id, lease_seconds, by)
            continue
        if turn.is_contested and not is_locked:
            is_locked = True
            if claim_order.lock(session):
                continue  # with what others have claimed until now
        statement = _claim_of_turn(may_claim, by) if others else _CLAIMS[by]
        claimed = transitions.claim(session, statement, fit | turn.parameters, worker_id, machine.free, expires_at)
        if claimed is not None:
            return claimed
        passed.append(turn)  # others are claiming the last of these jobs at this moment


def _is_not(turn: Turn) -> Condition:
    return lambda job: not_(turn.jobs(job))
