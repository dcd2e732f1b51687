"""The order in which queued jobs are claimed: the only place that knows it.

Jobs that are not preemptible go first, then higher priorities, then the turns of users or projects
(`service/forecast/turns.py`), then age. The queue's indexes give a claim all but the turns. Where jobs of several
accounts have the same priority, it looks at the first job of each owner in each project, which an index gives, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session

from service.forecast.turns import Standing, TurnsBy, decay, level, score
from service.models import QUEUED, Job, TurnUsage
from service.store import turns

BY_AGE: Final = Job.state == QUEUED, Job.reason.is_(None)
"""The condition of a queued job, as the index of the queue by age has it."""

Condition = Callable[[Any], ColumnElement[bool]]
"""What a job must meet, given the table of jobs under any name."""

_TURNS_LOCK: Final = 0x7475726E73

_JOBS: Final = [Job.__table__.alias(f"job_{n}") for n in range(8)]

_GROUP: Final = ("pool", "project_id", "owner_id")
"""What the jobs of an owner in a project have in common."""

_OF_TURN: Final = (*_GROUP, "preemptible", "priority")
"""What the jobs that have the same turn have in common."""


class _JobOfGroup:
    """The columns of a job, of which those in `_GROUP` are its group's: conditions of them are checked once for all."""

    def __init__(self, job: Any, group: Any) -> None:
        self._job = job
        self._group = group

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group if name in _GROUP else self._job, name)


def all_of(*conditions: Condition) -> Condition:
    return lambda job: and_(*(condition(job) for condition in conditions))


def select_turns(condition: Condition, by: TurnsBy) -> Select[Any]:
    """Select the first job of each owner in each project that meets a condition, of those queued in `:pool`.

    Each owner in each project takes three look-ups in the index of the turns, however many jobs wait. Building the
    statement takes longer than that.
    """
    of_owner, best = _JOBS[0].c, _JOBS[1].c
    groups = _groups(of_all_pools=False)
    of_group = [of_owner[name] == groups.c[name] for name in _GROUP]
    best_id = _first_id(of_owner, *of_group, condition(_JobOfGroup(of_owner, groups.c)))
    account, table = turns.account_column(by, best), turns.account_table(by)
    columns = best.id, best.pool, best.preemptible, best.priority, best.project_id, best.owner_id
    return (
        select(*columns, account.label("account"), table.share, TurnUsage.used, TurnUsage.used_at)
        .select_from(groups.join(_JOBS[1], best.id == best_id))
        .outerjoin(table, table.id == account)
        .outerjoin(TurnUsage, TurnUsage.account_id == account)
    )


def _groups(*, of_all_pools: bool, dialect: str = "") -> CTE:
    """Return who has queued jobs in which project, in `:pool` or in all pools: a loose scan of the index of turns."""
    first, start, following, of_project, of_pool, of_next_pool = (job.c for job in _JOBS[2:])
    conditions = [] if of_all_pools else [first.pool == bindparam("pool")]
    groups = (
        select(start.pool, start.project_id, start.owner_id)
        .where(start.id == _first_id(first, *conditions, dialect=dialect))
        .cte("groups", recursive=True)
    )
    group = groups.c
    has_project = of_project.pool == group.pool, of_project.project_id == group.project_id
    candidates = [
        _first_id(of_project, *has_project, of_project.owner_id > group.owner_id),
        _first_id(of_pool, of_pool.pool == group.pool, of_pool.project_id > group.project_id),
    ]
    if of_all_pools:
        candidates.append(_first_id(of_next_pool, of_next_pool.pool > group.pool, dialect=dialect))
    step = select(following.pool, following.project_id, following.owner_id)
    return groups.union_all(step.select_from(groups.join(_JOBS[4], following.id == func.coalesce(*candidates))))


def _first_id(job: Any, *conditions: ColumnElement[bool], dialect: str = "") -> ScalarSelect[str]:
    is_queued = job.state == QUEUED
    if dialect == "sqlite":  # else it sorts all jobs in this state, if the pool is not given
        is_queued = func.likelihood(is_queued, literal_column("0.9"))
    query = select(job.id).where(is_queued, *conditions)
    order = job.pool, job.project_id, job.owner_id, job.preemptible, job.priority.desc(), job.id
    return query.order_by(*order).limit(1).scalar_subquery()


def _select_waiting(by: TurnsBy, dialect: str) -> Select[Any]:
    groups = _groups(of_all_pools=True, dialect=dialect)
    return select(groups.c.pool, turns.account_column(by, groups.c))


WAITING: Final = {(by, dialect): _select_waiting(by, dialect) for by in TurnsBy for dialect in ("sqlite", "postgresql")}
"""Select the pools with queued jobs, and the accounts that wait there. They may repeat."""


@dataclass(frozen=True)
class Turn:
    """The job that goes first of those that meet a condition. `is_contested`: jobs of other accounts wait beside it."""

    job_id: str
    pool: str
    preemptible: bool
    priority: int
    project_id: str
    owner_id: str
    account: str
    is_contested: bool

    def jobs(self, job: Any) -> ColumnElement[bool]:
        """Return the condition of the jobs whose turn it is, too: the next of them goes if somebody claims this one."""
        return and_(*(getattr(job, name) == getattr(self, name) for name in _OF_TURN))

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of `jobs_of_turn`."""
        return {f"turn_{name}": getattr(self, name) for name in _OF_TURN}


def jobs_of_turn(job: Any) -> ColumnElement[bool]:
    """Return the condition that `Turn.jobs` returns, of any turn, with its `parameters`."""
    return and_(*(getattr(job, name) == bindparam(f"turn_{name}", type_=getattr(Job, name).type) for name in _OF_TURN))


def first_of_queue(session: Session, pool: str, *, preemptible: bool, by: TurnsBy, now: datetime) -> Turn | None:
    """Return which job of a pool goes first, whether it fits anywhere or not."""
    return first(session, [pool], select_turns(lambda job: job.preemptible == preemptible, by), {"now": now})


def first(session: Session, pools: Sequence[str], statement: Select[Any], parameters: Mapping[str, Any]) -> Turn | None:
    """Return whose turn it is among the queued jobs of these pools that meet a condition; None if none does.

    Args:
        statement: what `select_turns` returned.
        parameters: those of its condition, and `now`.
    """
    now: datetime = parameters["now"]
    rows = [row for pool in pools for row in session.execute(statement, {"pool": pool, **parameters})]
    if not rows:
        return None
    first_level = min(map(level, rows))
    waiting = [row for row in rows if level(row) == first_level]
    best = min(waiting, key=lambda row: (_score(row, now), row.id))
    is_contested = any(row.account != best.account for row in waiting)
    return Turn(
        best.id, best.pool, best.preemptible, best.priority, best.project_id, best.owner_id, best.account, is_contested
    )


def _score(row: Any, now: datetime) -> int:
    if row.used is None:
        return 0
    return score(row.used * decay(now.timestamp() - row.used_at), 1.0 if row.share is None else row.share)


def before(session: Session, turns_of_jobs: Sequence[Turn], by: TurnsBy, now: datetime) -> Condition:
    """Return the condition that a job goes before all of these, none of which is preemptible."""
    standings = turns.read(session, by, None, now)

    def score_of(turn: Turn) -> int:
        return standings.get(turn.account, Standing()).score

    first = min(turns_of_jobs, key=lambda turn: (-turn.priority, score_of(turn), turn.job_id))
    lower = sorted(account for account, standing in standings.items() if standing.score < score_of(first))
    higher = sorted(account for account, standing in standings.items() if standing.score > score_of(first))

    def condition(job: Any) -> ColumnElement[bool]:
        account = turns.account_column(by, job)
        is_its_turn = or_(account.in_(lower), and_(account.not_in(higher), job.id < first.job_id))
        is_sooner = or_(job.priority > first.priority, and_(job.priority == first.priority, is_its_turn))
        return and_(job.preemptible == false(), is_sooner)

    return condition


def lock(session: Session) -> bool:
    """Wait until no other transaction claims by turns, and keep others waiting. Return whether one may have claimed.

    Otherwise workers that claim in the same milliseconds would all give the same account its turn. SQLite has one
    writer at a time, so nothing needs to wait.
    """
    if session.get_bind().dialect.name == "sqlite":
        return False
    session.execute(select(func.pg_advisory_xact_lock(_TURNS_LOCK)))
    return True
