"""What users and projects have used of late, for the order of claims: see `service/forecast/turns.py`.

An attempt counts from its claim, with what it will probably take: otherwise one user would get all slots that become
free at once. The estimate is replaced when its training begins and the pace of similar jobs is read, when it takes
longer than that, and by the truth at its end. Each is written for the owner and for the project, so that the setting
`FITQUEUE_TURNS_BY` can change at any time.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Insert, Table, case, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.forecast.pace import blended
from service.forecast.turns import DEFAULT_SECONDS, HALF_LIFE_SECONDS, Standing, TurnsBy, decay, weight
from service.models import Job, Project, TurnUsage, User

_OVERRUN: Final = 1.25
"""What an attempt that takes longer than it was estimated counts, as a multiple of what it has taken."""

_FORGOTTEN_SECONDS: Final = 100 * HALF_LIFE_SECONDS
"""What was used longer ago does not count."""


def account_column(by: TurnsBy, job: Any = Job) -> ColumnElement[str]:
    """Return the column that says whose turn a job is."""
    column: ColumnElement[str] = job.owner_id if by is TurnsBy.USER else job.project_id
    return column


def account_table(by: TurnsBy) -> type[User] | type[Project]:
    """Return the table of the accounts."""
    return User if by is TurnsBy.USER else Project


def read(session: Session, by: TurnsBy, accounts: Collection[str] | None, now: datetime) -> dict[str, Standing]:
    """Return how these accounts stand; None: all that there are."""
    table = account_table(by)
    query = select(table.id, table.name, table.share, TurnUsage.used, TurnUsage.used_at, TurnUsage.mean_seconds)
    query = query.outerjoin(TurnUsage, TurnUsage.account_id == table.id)
    rows = session.execute(query if accounts is None else query.where(table.id.in_(sorted(accounts))))
    seconds = now.timestamp()
    return {
        row.id: Standing(
            used=row.used * decay(seconds - row.used_at) if row.used is not None else 0.0,
            share=row.share,
            mean_seconds=row.mean_seconds,
            name=row.name,
        )
        for row in rows
    }


def seconds_left() -> Any:
    """Return how long the epochs of a queued job will take; NULL if nothing tells."""
    complete = case((Job.epoch > 0, Job.epoch - 1), else_=0)
    return (Job.epochs - complete) * Job.seconds_per_epoch


def claim_charge(by: TurnsBy) -> ColumnElement[float]:
    """Return what a job counts when it is claimed, as the update of its row computes it."""
    mean = select(TurnUsage.mean_seconds).where(TurnUsage.account_id == account_column(by)).correlate(Job)
    return case((Job.gpus > 1, Job.gpus), else_=1) * func.coalesce(
        seconds_left(), mean.scalar_subquery(), DEFAULT_SECONDS
    )


def begin_attempt(session: Session, job: Job, now: datetime) -> None:
    """Charge the attempt that was just claimed. The row of a project is shared by many, so this comes late."""
    _add(session, job, job.turn_charge, now)


def expect_pace(session: Session, job: Job, now: datetime) -> None:
    """Replace what the running attempt counts by what the pace of its epochs says, if that is known."""
    if job.seconds_per_epoch is None or job.claimed_at is None:
        return
    left = (job.epochs - max(0, job.epoch - 1)) * job.seconds_per_epoch
    if job.max_runtime_seconds is not None:
        left = min(left, max(0.0, job.max_runtime_seconds - job.seconds_used))
    _expect(session, job, left + (now - job.claimed_at).total_seconds(), job.claimed_at, now)


def expect_longer(session: Session, job: Job, now: datetime) -> None:
    """Raise what the running attempt counts if it has taken longer than that. The job's row is locked."""
    if job.claimed_at is not None and is_overrun(job.claimed_at, job.turn_charge, job.gpus, now):
        _expect(session, job, _OVERRUN * (now - job.claimed_at).total_seconds(), job.claimed_at, now)


def is_overrun(claimed_at: datetime, turn_charge: float, gpus: int, now: datetime) -> bool:
    """Tell whether a running attempt has taken longer than it counts."""
    return weight(gpus) * (now - claimed_at).total_seconds() > turn_charge


def end_attempt(session: Session, job: Job, now: datetime) -> None:
    """Count what the attempt took in place of what it was charged. `attempt_seconds` says how long it ran.

    An attempt that left its worker before its end says nothing about how long the next one takes.
    """
    seconds = job.attempt_seconds
    truth = weight(job.gpus) * seconds
    _add(session, job, truth - job.turn_charge * decay(seconds), now, seconds if job.state.is_final else None)
    job.turn_charge = 0.0


def _expect(session: Session, job: Job, seconds: float, claimed_at: datetime, now: datetime) -> None:
    before, job.turn_charge = job.turn_charge, weight(job.gpus) * seconds
    _add(session, job, (job.turn_charge - before) * decay((now - claimed_at).total_seconds()), now)


def _add(session: Session, job: Job, used: float, now: datetime, ended_after: float | None = None) -> None:
    """Add to what the job's owner and its project have used; less than nothing corrects an estimate."""
    at = now.timestamp()
    rows = [
        {"account_id": account, "used": used, "used_at": at, "mean_seconds": ended_after}
        for account in sorted({job.project_id, job.owner_id})  # in one order, or two could wait for each other
    ]
    session.execute(_UPSERTS[session.get_bind().dialect.name], rows)


def _upsert(dialect: str) -> Insert:
    statement = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(cast(Table, TurnUsage.__table__))
    new = statement.excluded
    old = TurnUsage.used * _decay(new.used_at - TurnUsage.used_at)
    mean = blended(func.coalesce(TurnUsage.mean_seconds, new.mean_seconds), new.mean_seconds)
    changes = {
        "used": case((old + new.used > 0, old + new.used), else_=0.0),
        "used_at": new.used_at,
        "mean_seconds": func.coalesce(mean, TurnUsage.mean_seconds),
    }
    return statement.on_conflict_do_update(index_elements=["account_id"], set_=changes)


def _decay(seconds: ColumnElement[float]) -> ColumnElement[float]:
    """Return what `decay` returns. PostgreSQL raises an error where the result is almost 0, after six years."""
    power = func.power(0.5, seconds / HALF_LIFE_SECONDS)
    return case((seconds <= 0, 1.0), (seconds > _FORGOTTEN_SECONDS, 0.0), else_=power)


_UPSERTS: Final = {dialect: _upsert(dialect) for dialect in ("sqlite", "postgresql")}
