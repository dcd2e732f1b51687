"""Jobs that no worker has claimed within their `max_queued_seconds`. They end as not scheduled.

Only the first wait counts: from when the job was submitted, or resumed from a pause, to its first claim. A job that was
claimed and requeued has been trained, and what it has is not given up because the machines are busy.
"""

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service import clock
from service.models import Job
from service.store import queue_position, transitions

_LIMIT: Final = 100


def any_overdue(session: Session) -> bool:
    """Tell whether `end_overdue` would end any. This only reads, so it can be asked often."""
    return session.scalar(select(Job.id).where(Job.not_after <= clock.now(session)).limit(1)) is not None


def end_overdue(session: Session, lease_seconds: float) -> list[str]:
    """End some of the jobs that have waited for too long; return their ids."""
    now = clock.now(session)
    overdue = session.scalars(
        select(Job)
        .where(Job.not_after <= now, Job.state == JobState.QUEUED)
        .order_by(Job.not_after)
        .limit(_LIMIT)
        .with_for_update(skip_locked=True)
    ).all()
    waits = queue_position.read_waits(session, overdue, lease_seconds) if overdue else {}
    ended = [transitions.end_unscheduled(session, job.id, _message(job, waits[job.id]), now) for job in overdue]
    return [job.id for job in ended if job is not None]


def _message(job: Job, waiting_for: str) -> str:
    seconds = f"{job.max_queued_seconds:,} second{'' if job.max_queued_seconds == 1 else 's'}"
    return f"No worker claimed the job within {seconds}, its max_queued_seconds. It waited for {waiting_for}."
