"""Preemptible jobs make room for others: they are asked to leave their workers, and learn it at their next renewal.

`service/forecast/victims.py` decides who. A job that was asked leaves its worker as at a drain: it is queued again,
with a snapshot, and goes on exactly where it stopped.
"""

from typing import Any, Final

from sqlalchemy import false, func, or_, select, update
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service import clock
from service.forecast.turns import Standing, TurnsBy
from service.forecast.victims import RunningJob, WaitingJob, Worker, choose_victims, count_spare
from service.models import QUEUED, GPUClaim, Job
from service.store import claim_limits, gpus, transitions, turns, workers
from service.store.claim_order import Condition
from service.store.gpu_reservation import RESERVATION_DELAY

MAX_WAITING: Final = 200
"""The jobs of a pool that are looked at: those with the highest priorities, and of these the oldest."""

_LOCK: Final = 0x707265656D7074
_RUNNING: Final = Job.lease_expires_at.is_not(None), Job.state == JobState.RUNNING
_NOT_ASKED: Final = Job.preemptible.is_(True), Job.preempt_requested_at.is_(None)


def may_be_needed(session: Session) -> bool:
    """Tell whether a preemptible job runs. This only reads, so it can be asked often."""
    return session.scalar(select(Job.id).where(*_RUNNING, *_NOT_ASKED).limit(1)) is not None


def request(session: Session, lease_seconds: float, by: TurnsBy = TurnsBy.USER) -> list[str]:
    """Ask preemptible jobs to make room, as many as other jobs need; return their ids."""
    if session.get_bind().dialect.name != "sqlite" and not session.scalar(
        select(func.pg_try_advisory_xact_lock(_LOCK))
    ):
        return []  # another worker does it at this moment
    machines = _machines(session, lease_seconds)
    victims = choose_victims(machines, _running(session), _waiting(session, machines, by))
    return [job.id for job in victims if _ask(session, job)]


def conditions(session: Session, worker_id: str, lease_seconds: float, by: TurnsBy) -> list[Condition]:
    """Return the conditions that a preemptible job takes nothing for which others make room, or would have to.

    Workers of one machine may serve different pools. One of them would else give a GPU to the next preemptible job of
    its pool, and maybe to the one that has just left, before another one gives it to the job for which that left.
    """
    machines = _machines(session, lease_seconds)
    claiming = next((machine for machine in machines if machine.id == worker_id), None)
    if claiming is None:
        return []
    spare = count_spare(claiming, machines, _running(session), _waiting(session, machines, by))
    most = spare.gpus if spare.slots > 0 else -1
    return [lambda job: or_(job.preemptible == false(), job.gpus <= most)]


def _machines(session: Session, lease_seconds: float) -> list[Worker]:
    alive = [worker for worker in workers.list_alive(session, lease_seconds) if not worker.is_draining]
    # No job gets a GPU that another program uses. If it counted, jobs would make room in vain, again and again.
    return [Worker(each.id, each.pools, each.slots, each.gpus - each.foreign_gpus) for each in alive]


def _running(session: Session) -> list[RunningJob]:
    held: dict[str, set[str]] = {}
    for job_id, uuid in session.execute(select(GPUClaim.job_id, GPUClaim.gpu_uuid)):
        held.setdefault(job_id, set()).add(uuid)
    columns = Job.id, Job.worker_id, Job.claimed_at, Job.preemptible, Job.preempt_requested_at
    return [
        RunningJob(
            id=row.id,
            worker_id=row.worker_id,
            gpus=frozenset(held.get(row.id, ())),
            claimed_at=row.claimed_at,
            preemptible=row.preemptible,
            leaves=row.preempt_requested_at is not None,
        )
        for row in session.execute(select(*columns).where(*_RUNNING))
    ]


def _waiting(session: Session, machines: list[Worker], by: TurnsBy) -> list[WaitingJob]:
    """Return the jobs that need devices, in the order of claims.

    One that may not run now, by a limit, or fits on no machine, needs none.
    """
    now = clock.now(session)
    room = claim_limits.read_room(session)
    may_run = transitions.is_claimable(now), *(condition(Job) for condition in room.conditions())
    columns = Job.id, Job.pool, Job.gpus, Job.priority, Job.owner_id, Job.project_id, Job.created_at
    account = turns.account_column(by).label("account")
    rows: list[Any] = []
    largest = gpus.most_by_pool((machine.pools, len(machine.gpus)) for machine in machines)
    for pool, most in sorted(largest.items()):
        query = select(*columns, account).where(
            Job.state == QUEUED, Job.reason.is_(None), Job.pool == pool, Job.preemptible.is_(False)
        )
        rows += session.execute(
            query.where(*may_run, Job.gpus <= most).order_by(Job.priority.desc(), Job.id).limit(MAX_WAITING)
        ).all()
    standings = turns.read(session, by, {row.account for row in rows}, now)
    rows.sort(key=lambda row: (-row.priority, standings.get(row.account, Standing()).score, row.id))
    reserving_since = now - RESERVATION_DELAY
    return [WaitingJob(row.pool, row.gpus, row.created_at <= reserving_since) for row in rows if room.take(row)]


def _ask(session: Session, victim: RunningJob) -> bool:
    """Ask a job, unless it has left its worker meanwhile."""
    asked = session.execute(
        update(Job)
        .where(Job.id == victim.id, *_RUNNING, *_NOT_ASKED, Job.claimed_at == victim.claimed_at)
        .values(preempt_requested_at=clock.now(session), version=Job.version + 1)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return asked.one_or_none() is not None
