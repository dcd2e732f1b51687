"""What happened to a job: appended here, read back in order."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from fitqueue.states import EventKind
from service.models import Event, Job


def append(
    session: Session, job: Job, kind: EventKind, now: datetime, message: str, data: Mapping[str, Any] | None = None
) -> None:
    """Append an event. The caller holds the lock of the job's row, which keeps event ids in order."""
    session.add(Event(job_id=job.id, kind=kind, at=now, attempt=job.attempt, message=message, data=finite(data or {})))
    session.flush()


def finite(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with None for each NaN and infinity, which JSON lacks. Values are scalars, or lists of strings."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in data.items()
    }


def last_at(job_id: str | InstrumentedAttribute[str]) -> ScalarSelect[datetime]:
    """Select the time of a job's last event. A queued job has been waiting since then."""
    return select(Event.at).where(Event.job_id == job_id).order_by(Event.id.desc()).limit(1).scalar_subquery()


def list_after(session: Session, job_id: str, after: int, limit: int) -> Sequence[Event]:
    """Return the job's events with an id above `after`, oldest first."""
    return session.scalars(
        select(Event).where(Event.job_id == job_id, Event.id > after).order_by(Event.id).limit(limit)
    ).all()
