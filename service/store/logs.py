"""The lines that a training process printed."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import LogLine


def list_after(session: Session, job_id: str, after: int, limit: int) -> Sequence[LogLine]:
    """Return the job's lines with an id above `after`, oldest first."""
    query = select(LogLine).where(LogLine.job_id == job_id, LogLine.id > after).order_by(LogLine.id).limit(limit)
    return session.scalars(query).all()


def tail(session: Session, job_id: str, count: int) -> Sequence[LogLine]:
    """Return the job's last `count` lines, oldest first."""
    query = select(LogLine).where(LogLine.job_id == job_id).order_by(LogLine.id.desc()).limit(count)
    return session.scalars(query).all()[::-1]
