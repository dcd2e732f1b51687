"""The jobs that wait for a worker, in the order in which they are claimed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from service import clock
from service.models import QUEUED, Job, Project, User
from service.store import events, job_details, ownership, queue_position
from service.store.access import EVERYTHING, Viewer
from service.store.cursors import invalid_cursor
from service.store.forecasts import Forecaster, QueuedForecast
from service.store.ownership import Ownership

MAX_CURSOR: Final = 200
"""The characters of a cursor: a priority, an id and the name of a pool."""

_CURSOR: Final = re.compile(r"(-?[0-9]{1,3})\.([^.]+)\.(.+)", re.DOTALL)


@dataclass(frozen=True)
class WaitingJob:
    """A queued job with its place in the queue of its pool."""

    job: Job
    position: int
    """1 is the next job of its pool."""
    waiting_for: str
    since: datetime
    """When it was submitted, or was last requeued, resumed or extended."""
    labels: Mapping[str, str]
    ownership: Ownership
    forecast: QueuedForecast
    finishes_at: datetime | None


@dataclass(frozen=True)
class QueueFilter:
    """Which jobs that wait are listed: those of a pool, an owner and a project, by name, that the viewer may see."""

    pool: str | None = None
    owner: str | None = None
    project: str | None = None
    viewer: Viewer = EVERYTHING

    @property
    def has_gaps(self) -> bool:
        """Whether others, which are not listed, may be between them."""
        return bool(self.viewer.hidden) or self.owner is not None or self.project is not None

    def conditions(self, session: Session) -> list[ColumnElement[bool]]:
        """Return the conditions beside that of the pool."""
        conditions = [_is_queued(session), *self.viewer.condition(Job)]
        if self.owner is not None:
            conditions.append(Job.owner_id == select(User.id).where(User.name == self.owner).scalar_subquery())
        if self.project is not None:
            of_project = select(Project.id).where(Project.name == self.project).scalar_subquery()
            conditions.append(Job.project_id == of_project)
        return conditions


def list_page(
    session: Session,
    filter: QueueFilter,
    cursor: str | None,
    limit: int,
    lease_seconds: float,
    forecaster: Forecaster | None = None,
) -> tuple[Sequence[WaitingJob], str | None]:
    """Return a page of the queue, and the cursor of the next page. Without a pool, one pool comes after the other.

    Raises:
        InvalidRequest: no page of the queue has given this cursor.
    """
    after = None if cursor is None else _decode(cursor)
    rows: list[Job] = []
    is_listed = filter.conditions(session)
    for conditions in _ranges(filter.pool, after):
        missing = limit + 1 - len(rows)
        if missing:
            query = select(Job).where(*is_listed, *conditions)
            rows += session.scalars(query.order_by(Job.pool, Job.priority.desc(), Job.id).limit(missing))
    page = rows[:limit]
    next_cursor = _encode(page[-1]) if len(rows) > limit else None
    return _with_details(session, page, lease_seconds, forecaster, has_gaps=filter.has_gaps), next_cursor


def count(session: Session, filter: QueueFilter) -> int:
    """Return how many of the jobs that wait are listed."""
    of_pool = [] if filter.pool is None else [Job.pool == filter.pool]
    query = select(func.count()).select_from(Job).where(*filter.conditions(session), *of_pool)
    return session.scalar(query) or 0


@dataclass(frozen=True)
class _Key:
    priority: int
    id: str
    pool: str


def _ranges(pool: str | None, after: _Key | None) -> Iterator[Sequence[ColumnElement[bool]]]:
    """Yield the conditions of what comes after this key, in order. Each is one range of the index of the queue."""
    if after is None:
        yield [] if pool is None else [Job.pool == pool]
        return
    if pool in {None, after.pool}:
        yield Job.pool == after.pool, Job.priority == after.priority, Job.id > after.id
        yield Job.pool == after.pool, Job.priority < after.priority
    if pool is None:
        yield [Job.pool > after.pool]


def _is_queued(session: Session) -> ColumnElement[bool]:
    is_queued = Job.state == QUEUED
    if session.get_bind().dialect.name != "sqlite":
        return is_queued
    # Else SQLite takes the condition for one that few jobs meet, and sorts all that do: it does not count rows.
    # It has no type, because `= 1` would stand behind a Boolean and hide the condition of the index.
    likely: ColumnElement[bool] = func.likelihood(is_queued, literal_column("0.9"))
    return likely


def _with_details(
    session: Session, jobs: Sequence[Job], lease_seconds: float, forecaster: Forecaster | None, *, has_gaps: bool
) -> list[WaitingJob]:
    """Return the jobs with their details. `has_gaps`: others, which cannot be seen, may be between them."""
    waits = queue_position.read_waits(session, jobs, lease_seconds)
    since = _queued_since(session, jobs)
    labels = job_details.labels_of(session, jobs)
    owned = ownership.read(session, jobs)
    forecasts = forecaster.read(session, [job.id for job in jobs]) if forecaster is not None and jobs else {}
    now = clock.now(session)
    return [
        WaitingJob(
            job=job,
            position=position,
            waiting_for=waits[job.id],
            since=since.get(job.id, job.created_at),
            labels=labels.get(job.id, {}),
            ownership=names,
            forecast=(forecast := forecasts.get(job.id) or QueuedForecast(position - 1, None, None)),
            finishes_at=job_details.after(now, forecast.ends),
        )
        for job, names, position in zip(jobs, owned, _positions(session, jobs, has_gaps=has_gaps), strict=True)
    ]


def _positions(session: Session, jobs: Sequence[Job], *, has_gaps: bool) -> Iterator[int]:
    """Yield the positions of jobs. If they follow each other, only those before the first one must be counted."""
    if has_gaps:
        ahead = queue_position.count_ahead(session, [job.id for job in jobs])
        yield from (ahead.get(job.id, 0) + 1 for job in jobs)
        return
    pool, position = None, 0
    for job in jobs:
        if pool is None:
            position = queue_position.count_ahead(session, [job.id]).get(job.id, 0)
        elif job.pool != pool:
            position = 0
        pool = job.pool
        position += 1
        yield position


def _queued_since(session: Session, jobs: Sequence[Job]) -> dict[str, datetime]:
    rows = session.execute(select(Job.id, events.last_at(Job.id)).where(Job.id.in_([job.id for job in jobs])))
    return {row[0]: row[1] for row in rows if row[1] is not None}


def _encode(job: Job) -> str:
    return f"{job.priority}.{job.id}.{job.pool}"


def _decode(cursor: str) -> _Key:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise invalid_cursor(cursor, "No page of the queue has given this cursor.")
    return _Key(int(match[1]), match[2], match[3])
