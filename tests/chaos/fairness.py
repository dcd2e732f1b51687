"""Whom the killer must spare.

A job that loses two attempts in a row at the same place, by a death of its own process, has failed: that is what the
service promises. A killer at random hits the same job twice within a second now and then, and such an end would be
right. So who trains a job that has not come any further since its last loss is left alone.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.states import FINAL_STATES, JobState
from service import clock
from service.db import Database
from service.models import Job, Snapshot

MOST_LOSSES: Final = 4
"""Each loss doubles how long a job waits, and a run must come to its end."""


def may_lose(database: Database, worker_id: str) -> bool:
    """Whether the jobs of this worker may lose their attempts now. False where nobody can tell."""
    try:
        with database.read() as session:
            held = session.scalars(select(Job).where(Job.worker_id == worker_id, Job.state == JobState.RUNNING)).all()
            return not any(is_fragile(session, job) for job in held)
    except DatabaseUnavailable:
        return False


def all_may_lose(database: Database, seconds: float) -> bool:
    """Whether each job may that trains, or may be taken within so many seconds."""
    try:
        with database.read() as session:
            soon = clock.now(session) + timedelta(seconds=seconds)
            due = or_(Job.not_before.is_(None), Job.not_before <= soon)
            jobs = session.scalars(select(Job).where(Job.state.in_([JobState.RUNNING, JobState.QUEUED]), due)).all()
            return not any(is_fragile(session, job) for job in jobs)
    except DatabaseUnavailable:
        return False


def is_fragile(session: Session, job: Job) -> bool:
    """Whether it has come no further since its last loss, or has lost often enough."""
    if job.failed_attempts >= MOST_LOSSES:
        return True
    place = session.execute(
        select(Snapshot.epoch, Snapshot.step)
        .where(Snapshot.job_id == job.id)
        .order_by(Snapshot.epoch.desc(), Snapshot.step.desc())
        .limit(1)
    ).one_or_none()
    here = (place.epoch, place.step) if place is not None else (0, 0)
    return job.stalled_attempts > 0 and (job.stalled_epoch, job.stalled_step) == here


def ended(database: Database) -> int:
    """How many jobs have ended; 0 where nobody can tell."""
    try:
        with database.read() as session:
            return session.scalar(select(func.count()).where(Job.state.in_(FINAL_STATES))) or 0
    except DatabaseUnavailable:
        return 0


def job_of(database: Database, worker_id: str) -> tuple[str, int] | None:
    """A job that this worker trains, and its attempt."""
    try:
        with database.read() as session:
            found = session.execute(
                select(Job.id, Job.attempt).where(Job.worker_id == worker_id, Job.state == JobState.RUNNING).limit(1)
            ).one_or_none()
            return None if found is None else (found.id, found.attempt)
    except DatabaseUnavailable:
        return None
