"""A project that may run two jobs at a time, to which every second job belongs, and whether it ever ran more."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.states import EventKind
from service.db import Database
from service.models import Event, Job, Project
from service.store import projects

PROJECT: Final = "limited"
RUNNING_JOBS: Final = 2

_LEFT_WORKER: Final = {
    EventKind.REQUEUED, EventKind.PAUSED, EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED
}  # fmt: skip


def create_limited_project(database: Database) -> None:
    with database.write() as session:
        projects.create(session, PROJECT).limits = {"running_jobs": RUNNING_JOBS}


def project_of(number: str) -> dict[str, str]:
    """Return the field of a job with this number that names its project; those of the baseline have none."""
    return {"project": PROJECT} if number.isdecimal() and int(number) % 2 == 0 else {}


def problems_of_limits(session: Session) -> Iterator[str]:
    """Yield each claim after which the project ran too many jobs, or that it never had a job.

    Ids of events are in order here: a claim is not committed before it has seen the ends that make room for it, and
    claims of the project go one after the other.
    """
    of_project = select(Event.job_id, Event.kind, Event.id).join(Job).join(Project, Project.id == Job.project_id)
    rows = session.execute(of_project.where(Project.name == PROJECT).order_by(Event.id)).all()
    running: set[str] = set()
    for row in rows:
        if row.kind is EventKind.CLAIMED:
            running.add(row.job_id)
        elif row.kind in _LEFT_WORKER:
            running.discard(row.job_id)
        if len(running) > RUNNING_JOBS:
            yield f"with event {row.id}, {len(running)} jobs of the project '{PROJECT}' run: {sorted(running)}"
    if not rows:
        yield f"no job of the project '{PROJECT}' was submitted"
