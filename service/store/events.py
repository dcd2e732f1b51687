"""What happened to a job: appended here, read back in order."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from fitqueue.states import EventKind
from fitqueue.views import EventView
from service.models import Event, Job


def append(
    session: Session, job: Job, kind: EventKind, at: datetime, message: str, data: Mapping[str, Any] | None = None
) -> None:
    """Adds an event. The caller has changed the job's row before in this transaction: that lock keeps ids in order."""
    session.add(Event(job_id=job.id, kind=kind, at=at, attempt=job.attempt, message=message, data=finite(data or {})))
    session.flush()


def finite(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with None for each NaN and infinity, which JSON lacks. Values are scalars, or lists of words."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in data.items()
    }


def last_at(job_id: str | InstrumentedAttribute[str]) -> ScalarSelect[datetime]:
    """When the last thing happened to a job: of one that waits, since when it does."""
    return select(Event.at).where(Event.job_id == job_id).order_by(Event.id.desc()).limit(1).scalar_subquery()


def list_after(session: Session, job_id: str, after: int, limit: int) -> list[EventView]:
    """The job's events with an id above `after`, oldest first."""
    rows = session.scalars(
        select(Event).where(Event.job_id == job_id, Event.id > after).order_by(Event.id).limit(limit)
    )
    return [
        EventView(id=row.id, kind=row.kind, at=row.at, attempt=row.attempt, message=row.message, data=row.data)
        for row in rows
    ]
