"""Which jobs the killer must spare.

The service promises that a job fails if its training process dies twice in a row at the same position. A random killer
hits the same job twice within a second now and then, and the job would rightly fail. So a job is left alone until it
has progressed since its last failed attempt.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.reports import Position
from fitqueue.states import FINAL_STATES, JobState
from service import clock
from service.db import Database
from service.models import Job
from service.store import snapshots
from workers.shared.paths import Attempt

MAX_FAILED_ATTEMPTS: Final = 4
"""Each failed attempt costs a pause and a start, and a run must come to an end."""


def may_be_hit(database: Database, worker_id: str) -> bool:
    """Tell whether the current attempts of this worker may fail; False if the database is down."""
    try:
        with database.read() as session:
            is_on_worker = (Job.worker_id == worker_id) & (Job.state == JobState.RUNNING)
            jobs = session.scalars(select(Job).where(is_on_worker)).all()
            return not any(_must_be_spared(session, job) for job in jobs)
    except DatabaseUnavailable:
        return False


def all_may_be_hit(database: Database, seconds: float) -> bool:
    """Tell whether the attempts of all jobs that run, or may be claimed within these seconds, may fail.

    Returns False if the database is down.
    """
    try:
        with database.read() as session:
            end = clock.now(session) + timedelta(seconds=seconds)
            is_due = or_(Job.not_before.is_(None), Job.not_before <= end)
            is_open = Job.state.in_([JobState.RUNNING, JobState.QUEUED])
            jobs = session.scalars(select(Job).where(is_open, is_due)).all()
            return not any(_must_be_spared(session, job) for job in jobs)
    except DatabaseUnavailable:
        return False


def count_ended(database: Database) -> int:
    """Return how many jobs have ended; 0 if the database is down."""
    try:
        with database.read() as session:
            return session.scalar(select(func.count()).where(Job.state.in_(FINAL_STATES))) or 0
    except DatabaseUnavailable:
        return 0


def running_attempt(database: Database, worker_id: str) -> Attempt | None:
    """Return an attempt that this worker runs; None if it runs none, or if the database is down."""
    try:
        with database.read() as session:
            row = session.execute(
                select(Job.id, Job.attempt).where(Job.worker_id == worker_id, Job.state == JobState.RUNNING).limit(1)
            ).one_or_none()
            return None if row is None else Attempt(row.id, row.attempt)
    except DatabaseUnavailable:
        return None


def _must_be_spared(session: Session, job: Job) -> bool:
    """Tell whether the job has not progressed since its last failed attempt, or has failed often enough."""
    if job.failed_attempts >= MAX_FAILED_ATTEMPTS:
        return True
    if job.stalled_attempts == 0 or job.stalled_epoch is None or job.stalled_step is None:
        return False
    newest = next(iter(snapshots.newest_first(session, job.id)), None)
    resumes_at = newest.position if newest is not None else Position(0)
    return Position(job.stalled_epoch, job.stalled_step) >= resumes_at
