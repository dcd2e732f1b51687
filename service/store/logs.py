"""The lines that a job's process wrote."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.views import LogLine as LogLineView
from service.models import LogLine


def list_after(session: Session, job_id: str, after: int, limit: int) -> list[LogLineView]:
    """The lines with an id above `after`, oldest first."""
    query = select(LogLine).where(LogLine.job_id == job_id, LogLine.id > after).order_by(LogLine.id).limit(limit)
    return _views(session.scalars(query).all())


def tail(session: Session, job_id: str, count: int) -> list[LogLineView]:
    """The last `count` lines, oldest first."""
    query = select(LogLine).where(LogLine.job_id == job_id).order_by(LogLine.id.desc()).limit(count)
    return _views(session.scalars(query).all()[::-1])


def _views(rows: Sequence[LogLine]) -> list[LogLineView]:
    return [LogLineView.model_validate(row, from_attributes=True) for row in rows]
