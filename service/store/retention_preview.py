"""What the retention of the projects would remove now, without removing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from fitqueue.retention import Removable, Retention
from service import clock
from service.models import Artifact, Checkpoint, Event, Job, LogLine, Snapshot
from service.store import retention
from service.store.limits import ALWAYS_KEPT
from service.store.removals import CHECKPOINTS, IS_REMOVABLE


@dataclass(frozen=True)
class DueAmount:
    """How much of one kind a project no longer keeps. The bytes of logs and events are those of their texts."""

    project: str
    what: Removable
    days: int
    jobs: int
    rows: int
    bytes: int


def read(session: Session) -> list[DueAmount]:
    """Return what would be removed now, by project and kind; what is nothing is left out. It changes nothing."""
    if session.get_bind().dialect.name == "postgresql":
        # An operator waits as long as it takes to count a year's lines of logs.
        session.execute(text("SET LOCAL statement_timeout = 0"))
    now = clock.now(session)
    return [
        amount
        for project_id, (name, policy) in retention.of_projects(session).items()
        for what in policy.ages()
        if (amount := _read(session, project_id, name, policy, what, now)) is not None
    ]


def _read(
    session: Session, project_id: str, name: str, policy: Retention, what: Removable, now: datetime
) -> DueAmount | None:
    condition = and_(_is_due(project_id, policy, what, now), IS_REMOVABLE[what])
    jobs, rows, size = session.execute(_QUERIES[what].where(condition)).one()
    if what in _FILES:
        size = session.scalar(_bytes_of_files(what, condition))
    return DueAmount(name, what, policy.days(what) or 0, jobs, rows, int(size or 0)) if rows else None


def _is_due(project_id: str, policy: Retention, what: Removable, now: datetime) -> ColumnElement[bool]:
    """Return the condition that this of a job is due."""
    ages = policy.ages()
    conditions = [
        *(Job.project_id == project_id, Job.finished_at <= now - ages[what]),
        *(Job.keep.is_(False), Job.deleted_at.is_(None)),
    ]
    if what in CHECKPOINTS:
        other = aliased(Job)
        needs_it = other.weights_job_id == Job.id, other.finished_at.is_(None)
        conditions.append(~select(other.id).where(*needs_it).exists())
    if what is Removable.OTHER_CHECKPOINTS and Removable.CHECKPOINTS in ages:
        conditions.append(Job.finished_at > now - ages[Removable.CHECKPOINTS])  # else they go with all of them
    return and_(*conditions)


def _bytes_of_files(what: Removable, condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Select the size of the files that no name would point at any more. Each counts once."""
    table = _FILES[what]
    files = select(table.job_id, table.storage_key, table.size).join(Job, Job.id == table.job_id).where(condition)
    if what is Removable.OTHER_CHECKPOINTS:
        own = aliased(Checkpoint)
        of_file = own.job_id == Checkpoint.job_id, own.storage_key == Checkpoint.storage_key
        files = files.where(~select(own.name).where(*of_file, own.name.in_(ALWAYS_KEPT)).exists())
    return select(func.sum(files.distinct().subquery().c.size))


_FILES: Final[Mapping[Removable, type[Artifact | Checkpoint | Snapshot]]] = {
    Removable.SNAPSHOTS: Snapshot,
    Removable.OTHER_CHECKPOINTS: Checkpoint,
    Removable.CHECKPOINTS: Checkpoint,
    Removable.ARTIFACTS: Artifact,
}


def _query(table: Any, size: ColumnElement[Any] | InstrumentedAttribute[int]) -> Select[*tuple[Any, ...]]:
    jobs = func.count(func.distinct(table.job_id))
    return select(jobs, func.count(), func.sum(size)).select_from(table).join(Job, Job.id == table.job_id)


_QUERIES: Final = {
    Removable.LOGS: _query(LogLine, func.length(LogLine.text)),
    Removable.EVENTS: _query(Event, func.length(Event.message)),
    **{what: _query(table, table.size) for what, table in _FILES.items()},
}
