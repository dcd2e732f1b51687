"""What happened to a job: appended here, read back in order."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, BindParameter, Integer, ScalarSelect, String, bindparam, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from fitqueue.states import EventKind
from service.models import Event, Job

Value = TypeVar("Value")

_LEAVES_WORKER: Final = frozenset(
    {EventKind.REQUEUED, EventKind.PAUSED, EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED}
)
# Each open page of a job needs it, and it takes longer to build than to run.
_AFTER: Final = (
    select(Event)
    .where(Event.job_id == bindparam("job_id", type_=String), Event.id > bindparam("after", type_=BigInteger))
    .order_by(Event.id)
    .limit(bindparam("limit", type_=Integer))
)


def append(
    session: Session, job: Job, kind: EventKind, now: datetime, message: str, data: Mapping[str, Any] | None = None
) -> None:
    """Append an event. The caller holds the lock of the job's row, which keeps event ids in order.

    If events or lines of the job were left out, the `data` of an event with which it leaves its worker says how many.
    """
    counts = {"events_left_out": job.events_left_out, "log_lines_left_out": job.log_lines_left_out}
    left_out = {name: count for name, count in counts.items() if count and kind in _LEAVES_WORKER}
    data = finite({**(data or {}), **left_out})
    session.add(Event(job_id=job.id, kind=kind, at=now, attempt=job.attempt, message=message, data=data))
    session.flush()


def append_bounded(
    session: Session,
    job: Job,
    kind: EventKind,
    now: datetime,
    message: str,
    data: Mapping[str, Any],
    limit: int,
) -> None:
    """Append an event of which a job may have very many; beyond `limit` of them, only count it."""
    if job.bounded_events < limit:
        job.bounded_events += 1
        append(session, job, kind, now, message, data)
        return
    if job.events_left_out == 0:
        text = f"The job has {limit:,} events about its epochs and checkpoints. Further ones are counted and not kept."
        append(session, job, EventKind.EVENTS_LEFT_OUT, now, text, {"limit": limit})
    job.events_left_out += 1


def finite(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with None for each NaN and infinity, which JSON lacks. Values are scalars, or lists of strings."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in data.items()
    }


def last_at(job_id: BindParameter[str] | InstrumentedAttribute[str]) -> ScalarSelect[datetime]:
    """Select the time of a job's last event that is not a change. A queued job has been waiting since then."""
    return _of_last(Event.at, job_id)


def last_data(job_id: InstrumentedAttribute[str]) -> ScalarSelect[dict[str, Any]]:
    """Select the data of a job's last event that is not a change: of a queued job, why it waits."""
    return _of_last(Event.data, job_id)


def _of_last(
    column: InstrumentedAttribute[Value], job_id: BindParameter[str] | InstrumentedAttribute[str]
) -> ScalarSelect[Value]:
    is_of_job = Event.job_id == job_id, Event.kind != EventKind.CHANGED
    return select(column).where(*is_of_job).order_by(Event.id.desc()).limit(1).scalar_subquery()


# Each claim needs it, and it takes longer to build than to run.
_LAST_AT: Final = select(last_at(bindparam("job_id", type_=String)))


def queued_since(session: Session, job: Job) -> datetime:
    """Return since when a queued job has been waiting."""
    return session.scalar(_LAST_AT, {"job_id": job.id}) or job.created_at


def list_after(session: Session, job_id: str, after: int, limit: int) -> Sequence[Event]:
    """Return the job's events with an id above `after`, oldest first."""
    return session.scalars(_AFTER, {"job_id": job_id, "after": after, "limit": limit}).all()


def tail(session: Session, job_id: str, count: int) -> Sequence[Event]:
    """Return the job's last `count` events, oldest first."""
    query = select(Event).where(Event.job_id == job_id).order_by(Event.id.desc()).limit(count)
    return session.scalars(query).all()[::-1]
