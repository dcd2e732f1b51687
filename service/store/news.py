"""What tells whether a client that follows a job has all of it."""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.errors import JobNotFound
from fitqueue.states import JobState
from service.models import Epoch, Job, LogLine, StepMetrics


class Stamp(NamedTuple):
    """What changes with each change of a job: the version of its row, and the id of the last line of its log."""

    version: int
    line: int
    state: JobState


def stamp(session: Session, job_id: str) -> Stamp:
    """Return the stamp of a job.

    Raises:
        JobNotFound: there is no such job.
    """
    last_line = select(func.max(LogLine.id)).where(LogLine.job_id == job_id).scalar_subquery()
    row = session.execute(
        select(Job.version, last_line, Job.state).where(Job.id == job_id, Job.deleted_at.is_(None))
    ).one_or_none()
    if row is None:
        raise JobNotFound(f"There is no job '{job_id}'.")
    return Stamp(row[0], row[1] or 0, row[2])


def valid_epoch(session: Session, job_id: str, epoch: int, attempt: int) -> int:
    """Return up to which epoch the rows of a client are still those of the job.

    An attempt that resumes at an earlier epoch replaces the later ones, and their rows have its number.

    Args:
        epoch: the last epoch that the client has.
        attempt: the attempt that trained it.
    """
    query = (
        select(Epoch.epoch)
        .where(Epoch.job_id == job_id, Epoch.epoch <= epoch, Epoch.attempt <= attempt)
        .order_by(Epoch.epoch.desc())
        .limit(1)
    )
    return session.scalar(query) or 0


def valid_point(session: Session, job_id: str, ordinal: int, attempt: int) -> int:
    """Return up to which point within epochs the rows of a client are still those of the job, as for epochs."""
    query = (
        select(StepMetrics.ordinal)
        .where(StepMetrics.job_id == job_id, StepMetrics.ordinal <= ordinal, StepMetrics.attempt <= attempt)
        .order_by(StepMetrics.ordinal.desc())
        .limit(1)
    )
    return session.scalar(query) or 0
