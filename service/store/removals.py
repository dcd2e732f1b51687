"""Removes in small steps what the retention of their projects no longer keeps of ended jobs.

A job is looked at when it is due, so a step does not read the others. What it finds depends only on the rows, so a step
that was interrupted is simply done again, and several workers may remove at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select, true
from sqlalchemy.orm import Session

from fitqueue.retention import Removable, Retention
from fitqueue.states import EventKind
from service import clock
from service.models import Artifact, Checkpoint, Event, Job, LogLine, Snapshot
from service.store import events, retention
from service.store.limits import ALWAYS_KEPT

JOBS: Final = 50
"""Jobs that one step looks at."""

ROWS: Final = 500
"""Rows that one step removes."""

LOOK_AGAIN: Final = timedelta(hours=1)
"""When a job is looked at again whose checkpoints another one needs."""


@dataclass
class Removed:
    """What a step has removed."""

    rows: int = 0
    bytes: int = 0
    """Of the files."""
    keys: list[str] = field(default_factory=list)
    """The storage keys of files that no row refers to any more. The caller deletes them after the commit."""

    @property
    def is_full(self) -> bool:
        return self.rows >= ROWS


def remove_some(session: Session) -> Removed | None:
    """Look at some of the jobs that are due, and remove some of what is no longer kept; None if no job is due."""
    if retention.date_some(session):
        return Removed()
    now = clock.now(session)
    due = session.scalars(
        select(Job)
        .where(Job.retention_due_at <= now)
        .order_by(Job.retention_due_at, Job.id)
        .limit(JOBS)
        .with_for_update(skip_locked=True)  # another worker is at it
    ).all()
    if not due:
        return None
    projects, needed, removed = retention.of_projects(session), _needed(session, due), Removed()
    for job in due:
        name, policy = projects.get(job.project_id, ("", Retention()))
        if not _remove_from(session, job, name, policy, now, removed, is_needed=job.id in needed):
            break
    session.flush()
    return removed


def _needed(session: Session, jobs: Sequence[Job]) -> set[str | None]:
    """Return the ids of those of the jobs from which another one that has not ended takes its initial weights."""
    of_jobs = Job.weights_job_id.in_([job.id for job in jobs])
    return set(session.scalars(select(Job.weights_job_id).where(of_jobs, Job.finished_at.is_(None))))


def _remove_from(
    session: Session,
    job: Job,
    project: str,
    policy: Retention,
    now: datetime,
    removed: Removed,
    *,
    is_needed: bool,
) -> bool:
    """Remove what is due of one job; return False if more is due than a step removes."""
    if job.keep or job.finished_at is None:
        job.retention_due_at = None
        return True
    ages, age = policy.ages(), now - job.finished_at
    looks = [job.finished_at + each for each in ages.values() if each > age]
    for what in (what for what, least in ages.items() if least <= age):
        if is_needed and what in CHECKPOINTS:
            looks.append(now + LOOK_AGAIN)
            continue
        rows_before = removed.rows
        _REMOVE[what](session, job.id, ROWS - removed.rows, removed)
        if removed.rows > rows_before:
            _tell(session, job, what, policy.days(what) or 0, project, now)
        if removed.is_full:
            return False
    job.retention_due_at = min(looks, default=None)
    return True


def _tell(session: Session, job: Job, what: Removable, days: int, project: str, now: datetime) -> None:
    """Note in the job, and in an event, that this was removed, unless it has been noted since the job ended."""
    if what is Removable.LOGS:
        job.log_bytes = 0
    if retention.removed_after_end(job, what):
        return
    message, why = retention.sentence(what, days, project), {"days": days, "project": project}
    job.removed = {**job.removed, what.value: {"at": now.isoformat(), **why, "message": message}}
    job.version += 1
    events.append(session, job, EventKind.REMOVED, now, message, {"what": what.value, **why})


def _remove_by_id(table: type[Event | LogLine], condition: ColumnElement[bool]) -> "_Remove":
    def remove(session: Session, job_id: str, most: int, removed: Removed) -> None:
        query = select(table.id).where(table.job_id == job_id, condition).order_by(table.id).limit(most)
        ids = session.scalars(query).all()
        if not ids:
            return
        session.execute(delete(table).where(table.id.in_(ids)).execution_options(synchronize_session=False))
        removed.rows += len(ids)

    return remove


def _remove_checkpoints(condition: ColumnElement[bool]) -> "_Remove":
    def remove(session: Session, job_id: str, most: int, removed: Removed) -> None:
        query = select(Checkpoint.name, Checkpoint.storage_key, Checkpoint.size)
        rows = session.execute(
            query.where(Checkpoint.job_id == job_id, condition).order_by(Checkpoint.name).limit(most)
        ).all()
        if not rows:
            return
        of_job = Checkpoint.job_id == job_id
        gone = delete(Checkpoint).where(of_job, Checkpoint.name.in_([row.name for row in rows]))
        session.execute(gone.execution_options(synchronize_session=False))
        sizes = {row.storage_key: row.size for row in rows}
        still = session.scalars(select(Checkpoint.storage_key).where(of_job, Checkpoint.storage_key.in_(sizes)))
        for key in still:
            sizes.pop(key, None)
        _add(removed, len(rows), sizes)

    return remove


def _remove_files(table: type[Artifact | Snapshot]) -> "_Remove":
    def remove(session: Session, job_id: str, most: int, removed: Removed) -> None:
        rows = session.execute(
            select(table.storage_key, table.size).where(table.job_id == job_id).order_by(table.storage_key).limit(most)
        ).all()
        if not rows:
            return
        sizes = {row.storage_key: row.size for row in rows}
        gone = delete(table).where(table.job_id == job_id, table.storage_key.in_(sizes))
        session.execute(gone.execution_options(synchronize_session=False))
        _add(removed, len(rows), sizes)

    return remove


def _add(removed: Removed, rows: int, files: Mapping[str, int]) -> None:
    removed.rows += rows
    removed.bytes += sum(files.values())
    removed.keys += files


_Remove = Callable[[Session, str, int, Removed], None]

IS_REMOVABLE: Final[Mapping[Removable, ColumnElement[bool]]] = {
    Removable.LOGS: true(),
    # What was removed, and when, can always be told.
    Removable.EVENTS: Event.kind != EventKind.REMOVED,
    Removable.SNAPSHOTS: true(),
    Removable.OTHER_CHECKPOINTS: Checkpoint.name.not_in(ALWAYS_KEPT),
    Removable.CHECKPOINTS: true(),
    Removable.ARTIFACTS: true(),
}
"""Which rows of an ended job are removed."""

_REMOVE: Final[Mapping[Removable, _Remove]] = {
    Removable.LOGS: _remove_by_id(LogLine, true()),
    Removable.EVENTS: _remove_by_id(Event, IS_REMOVABLE[Removable.EVENTS]),
    Removable.SNAPSHOTS: _remove_files(Snapshot),
    Removable.OTHER_CHECKPOINTS: _remove_checkpoints(IS_REMOVABLE[Removable.OTHER_CHECKPOINTS]),
    Removable.CHECKPOINTS: _remove_checkpoints(true()),
    Removable.ARTIFACTS: _remove_files(Artifact),
}

CHECKPOINTS: Final = frozenset({Removable.CHECKPOINTS, Removable.OTHER_CHECKPOINTS})
"""What other jobs may still need."""
