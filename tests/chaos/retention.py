"""A project that keeps little of its ended jobs, to which every second six jobs belong, and whether it kept the rest.

Its jobs are dated back by two days as soon as they have ended, so that workers remove what is due while others train.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.retention import KeptCheckpoints, Removable, Retention
from fitqueue.states import EventKind
from service import clock
from service.db import Database
from service.models import Event, Job, LogLine, Project, Snapshot
from service.store import projects, retention, retention_preview
from service.store.limits import ALWAYS_KEPT
from tests.chaos.outcome import Outcome
from tests.waiting import NotInTime, until

PROJECT: Final = "brief"
RETENTION: Final = Retention(
    logs_days=1, snapshots_days=1, artifacts_days=1, keep_checkpoints=KeptCheckpoints.BEST_AND_LAST
)
AGE: Final = timedelta(days=2)
REMOVAL_TIMEOUT: Final = 90.0
"""Workers look for what is due every 20 seconds, and one that was killed takes a while to start."""

_KINDS_OF_JOBS: Final = 6
_KEPT_KIND: Final = 2
"""It has other checkpoints than the best and the last, and so has another kind, from which they are removed."""


def create_brief_project(database: Database) -> None:
    with database.write() as session:
        retention.set(session, projects.create(session, PROJECT).id, RETENTION)


def fields_of(number: str) -> dict[str, Any]:
    """Return the fields that put the job with this number into the project; one of six is kept all the same."""
    if not number.isdecimal() or int(number) // _KINDS_OF_JOBS % 2 == 0:
        return {}
    return {"project": PROJECT, "keep": int(number) % _KINDS_OF_JOBS == _KEPT_KIND}


def let_days_pass(database: Database) -> None:
    """Date the jobs of the project back that have ended, as time would, unless the database is down."""
    with suppress(DatabaseUnavailable), database.write() as session:
        project_id = projects.get(session, PROJECT).id
        has_just_ended = Job.finished_at > clock.now(session) - AGE
        for job in session.scalars(select(Job).where(Job.project_id == project_id, has_just_ended)):
            job.finished_at, job.retention_due_at = job.finished_at - AGE, job.retention_due_at - AGE


def wait_for_removals(database: Database) -> list[str]:
    """Wait until the workers have removed all that is due; return the problem, if they do not."""

    def is_nothing_due() -> bool:
        let_days_pass(database)
        return not _due(database)

    try:
        until(is_nothing_due, REMOVAL_TIMEOUT, "what is due is not removed", 0.5)
    except NotInTime as error:
        return [f"{error}: {_due(database)}"]
    return []


def _due(database: Database) -> list[retention_preview.DueAmount]:
    with database.read() as session:
        return retention_preview.read(session)


# --- What must be true after the run -------------------------------------------------------------------------------


def outcome_left(session: Session, job: Job, outcome: Outcome) -> Outcome:
    """Return what must be left of the outcome of a job."""
    if not _is_removed_from(session, job):
        return outcome
    checkpoints = tuple(row for row in outcome.checkpoints if row[0] in ALWAYS_KEPT)
    return replace(outcome, checkpoints=checkpoints, artifacts=())


def problems_of_retention(session: Session) -> Iterator[str]:
    """Yield what was removed too early or too late, and that nothing was removed, or no job was kept."""
    jobs = session.scalars(select(Job).where(Job.finished_at.is_not(None)).order_by(Job.id)).all()
    for job in jobs:
        yield from _problems_of_job(session, job)
    missing = {*_MUST_BE_SEEN} - {*removed_of_jobs(session)}
    if missing:
        yield f"of no job were removed: {', '.join(sorted(missing))}"
    if not any(job.keep for job in jobs):
        yield f"no job of the project '{PROJECT}' was kept"


_MUST_BE_SEEN: Final = (Removable.SNAPSHOTS, Removable.OTHER_CHECKPOINTS, Removable.ARTIFACTS)


def removed_of_jobs(session: Session) -> dict[str, int]:
    """Return of how many jobs something of each kind was removed."""
    return dict(Counter(session.scalars(select(Event.data["what"].as_string()).where(_IS_REMOVAL))))


_IS_REMOVAL: Final = Event.kind == EventKind.REMOVED


def _problems_of_job(session: Session, job: Job) -> Iterator[str]:
    has_snapshot = _has(session, Snapshot, job)
    if not _is_removed_from(session, job):
        if not has_snapshot or job.removed:
            yield f"{job.id} does not have all that its project keeps: {job.removed}, its snapshot: {has_snapshot}"
    elif has_snapshot or _has(session, LogLine, job):
        yield f"{job.id} still has a snapshot or its log"
    ended_at = session.scalars(select(Event.id).where(Event.job_id == job.id, Event.kind == job.state)).first()
    removed_at = session.scalars(select(Event.id).where(Event.job_id == job.id, _IS_REMOVAL).order_by(Event.id)).first()
    if ended_at is not None and removed_at is not None and removed_at < ended_at:
        yield f"something of {job.id} was removed before it ended"


def _has(session: Session, table: type[Snapshot | LogLine], job: Job) -> bool:
    return session.scalars(select(table.job_id).where(table.job_id == job.id).limit(1)).first() is not None


def _is_removed_from(session: Session, job: Job) -> bool:
    project = session.get(Project, job.project_id)
    return project is not None and project.name == PROJECT and not job.keep
