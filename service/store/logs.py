"""The lines that a training process printed."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Integer, String, bindparam, select
from sqlalchemy.orm import Session

from service.models import LogLine

# Each open page of a job needs it, and it takes longer to build than to run.
_AFTER: Final = (
    select(LogLine)
    .where(LogLine.job_id == bindparam("job_id", type_=String), LogLine.id > bindparam("after", type_=BigInteger))
    .order_by(LogLine.id)
    .limit(bindparam("limit", type_=Integer))
)


def list_after(session: Session, job_id: str, after: int, limit: int) -> Sequence[LogLine]:
    """Return the job's lines with an id above `after`, oldest first."""
    return session.scalars(_AFTER, {"job_id": job_id, "after": after, "limit": limit}).all()


def tail(session: Session, job_id: str, count: int) -> Sequence[LogLine]:
    """Return the job's last `count` lines, oldest first."""
    query = select(LogLine).where(LogLine.job_id == job_id).order_by(LogLine.id.desc()).limit(count)
    return session.scalars(query).all()[::-1]
