"""The jobs that wait for a worker, in the order in which they are claimed."""

import re
from bisect import bisect_right
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
from service.store.queue_order import Place, QueueOrder, QueueOrders

MAX_CURSOR: Final = 200
"""The characters of a cursor: what the order of claims depends on, an id and the name of a pool."""

_MOST_IDS: Final = 1000
"""Ids in one statement. Where few of the jobs that wait are listed, each page looks at many."""

_CURSOR: Final = re.compile(r"([01])\.(-?[0-9]{1,3})\.([0-9]{1,20})\.([a-z0-9_]+)\.([a-z0-9_-]+)")


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
    order = (forecaster.orders if forecaster is not None else QueueOrders()).read(session)
    if order is None:
        rows = _by_age(session, filter, after, limit + 1)
    else:
        rows = _by_turns(session, filter, order, after, limit + 1)
    page = rows[:limit]
    next_cursor = _encode(page[-1], order) if len(rows) > limit else None
    return _with_details(session, page, lease_seconds, forecaster, order), next_cursor


def count(session: Session, filter: QueueFilter) -> int:
    """Return how many of the jobs that wait are listed."""
    of_pool = [] if filter.pool is None else [Job.pool == filter.pool]
    query = select(func.count()).select_from(Job).where(*filter.conditions(session), *of_pool)
    return session.scalar(query) or 0


@dataclass(frozen=True)
class _Key:
    preemptible: bool
    priority: int
    score: int
    id: str
    pool: str


def _by_age(session: Session, filter: QueueFilter, after: _Key | None, limit: int) -> list[Job]:
    rows: list[Job] = []
    is_listed = filter.conditions(session)
    for conditions in _ranges(filter.pool, after):
        missing = limit - len(rows)
        if missing:
            query = select(Job).where(*is_listed, Job.reason.is_(None), *conditions)
            order = Job.pool, Job.preemptible, Job.priority.desc(), Job.id
            rows += session.scalars(query.order_by(*order).limit(missing))
    return rows


def _by_turns(session: Session, filter: QueueFilter, order: QueueOrder, after: _Key | None, limit: int) -> list[Job]:
    places = [place for place in order.places.values() if filter.pool in {None, place.pool}]
    start = 0 if after is None else _first_after(places, order.places.get(after.id), after)
    is_listed = filter.conditions(session)
    rows: list[Job] = []
    size = limit
    while start < len(places) and len(rows) < limit:
        ids = [place.id for place in places[start : start + size]]
        # Some are not listed, or have been claimed since the order was read.
        found = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids), *is_listed))}
        rows += [found[id] for id in ids if id in found]
        start += size
        size = min(2 * size, _MOST_IDS)
    return rows[:limit]


def _first_after(places: Sequence[Place], last: Place | None, after: _Key) -> int:
    """Return the index of the first place after the last one of a page, which may have left the queue."""
    key = after.pool, after.preemptible, -after.priority, after.score, after.id
    key = key if last is None else last.key
    return bisect_right(places, key, key=lambda place: place.key)


def _ranges(pool: str | None, after: _Key | None) -> Iterator[Sequence[ColumnElement[bool]]]:
    """Yield the conditions of what comes after this key, in order. Each is one range of the index of the queue."""
    if after is None:
        yield [] if pool is None else [Job.pool == pool]
        return
    if pool in {None, after.pool}:
        of_kind = Job.pool == after.pool, Job.preemptible == after.preemptible
        yield *of_kind, Job.priority == after.priority, Job.id > after.id
        yield *of_kind, Job.priority < after.priority
        if not after.preemptible:
            yield Job.pool == after.pool, Job.preemptible.is_(True)
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
    session: Session,
    jobs: Sequence[Job],
    lease_seconds: float,
    forecaster: Forecaster | None,
    order: QueueOrder | None,
) -> list[WaitingJob]:
    waits = queue_position.read_waits(session, jobs, lease_seconds, order)
    since = _queued_since(session, jobs)
    labels = job_details.labels_of(session, jobs)
    owned = ownership.read(session, jobs)
    forecasts = forecaster.read(session, [job.id for job in jobs]) if forecaster is not None and jobs else {}
    positions = queue_position.positions_of(session, jobs, order) if jobs else {}
    now = clock.now(session)
    return [
        WaitingJob(
            job=job,
            position=(position := positions.get(job.id, 1)),
            waiting_for=waits[job.id],
            since=since.get(job.id, job.created_at),
            labels=labels.get(job.id, {}),
            ownership=names,
            forecast=(forecast := forecasts.get(job.id) or QueuedForecast(position - 1, None, None)),
            finishes_at=job_details.after(now, forecast.ends),
        )
        for job, names in zip(jobs, owned, strict=True)
    ]


def _queued_since(session: Session, jobs: Sequence[Job]) -> dict[str, datetime]:
    rows = session.execute(select(Job.id, events.last_at(Job.id)).where(Job.id.in_([job.id for job in jobs])))
    return {row[0]: row[1] for row in rows if row[1] is not None}


def _encode(job: Job, order: QueueOrder | None) -> str:
    score = 0 if order is None else order.places[job.id].score
    return f"{job.preemptible:d}.{job.priority}.{score}.{job.id}.{job.pool}"


def _decode(cursor: str) -> _Key:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise invalid_cursor(cursor, "No page of the queue has given this cursor.")
    return _Key(match[1] == "1", int(match[2]), int(match[3]), match[4], match[5])
