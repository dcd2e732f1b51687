"""The moves of a job between its states. No other module writes `jobs.state`.

Each move is one conditional write: it changes the row only where the job is still in the state, and the attempt, that
the caller believes in. None as an answer means «not yours any more», which is normal and no error.
"""

from datetime import datetime

from sqlalchemy import ScalarSelect, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.states import EventKind, JobState, Reason, state_of
from service.models import Job, JobLabel
from service.store import events

_EVENT_OF = {
    JobState.SUCCEEDED: EventKind.SUCCEEDED,
    JobState.FAILED: EventKind.FAILED,
    JobState.CANCELLED: EventKind.CANCELLED,
}


def submit(session: Session, job: Job, labels: dict[str, str]) -> None:
    """∅ → queued: stores a new job with its first event."""
    job.state = JobState.QUEUED
    session.add(job)
    session.flush()
    session.add_all(JobLabel(job_id=job.id, key=key, value=value) for key, value in labels.items())
    events.append(session, job, EventKind.SUBMITTED, job.created_at, "The job was checked and stored.")


def claim(
    session: Session, candidate: ScalarSelect[str], worker_id: str, lease_expires_at: datetime, now: datetime
) -> Job | None:
    """queued → running: the job that `candidate` selects goes to the worker, as a new attempt."""
    job = _move(
        session,
        (Job.id == candidate, Job.state == JobState.QUEUED),
        state=JobState.RUNNING,
        attempt=Job.attempt + 1,
        worker_id=worker_id,
        lease_expires_at=lease_expires_at,
        claimed_at=now,
        not_before=None,
    )
    if job is None:
        return None
    if job.started_at is None:
        job.started_at = now
    message = f"The worker {worker_id} took the job for attempt {job.attempt}."
    events.append(session, job, EventKind.CLAIMED, now, message, {"worker": worker_id})
    return job


def finish(session: Session, job_id: str, attempt: int, reason: Reason, message: str, now: datetime) -> Job | None:
    """running → succeeded, failed or cancelled, as the reason says."""
    return _end(session, (Job.id == job_id, *_running(attempt)), reason, message, now)


def cancel_queued(session: Session, job_id: str, now: datetime) -> Job | None:
    """queued → cancelled."""
    return _end(
        session,
        (Job.id == job_id, Job.state == JobState.QUEUED),
        Reason.CANCELLED_BY_USER,
        "The job was cancelled while it waited.",
        now,
        cancel_requested_at=now,
    )


def put_back(
    session: Session, job_id: str, attempt: int, why: str, now: datetime, *, not_before: datetime | None, loss: bool
) -> Job | None:
    """running → queued, by the fault of no job. `loss`: it counts against `max_attempts`."""
    job = _move(
        session,
        (Job.id == job_id, *_running(attempt), Job.cancel_requested_at.is_(None)),
        state=JobState.QUEUED,
        phase=None,
        lease_expires_at=None,
        worker_id=None,
        not_before=not_before,
        losses=Job.losses + (1 if loss else 0),
    )
    if job is not None:
        _count_time(job, now)
        events.append(session, job, EventKind.PUT_BACK, now, why)
    return job


def _running(attempt: int) -> tuple[ColumnElement[bool], ...]:
    return Job.state == JobState.RUNNING, Job.attempt == attempt


def _end(
    session: Session,
    condition: tuple[ColumnElement[bool], ...],
    reason: Reason,
    message: str,
    now: datetime,
    **more: datetime,
) -> Job | None:
    state = state_of(reason)
    job = _move(
        session,
        condition,
        state=state,
        reason=reason,
        message=message,
        phase=None,
        lease_expires_at=None,
        not_before=None,
        finished_at=now,
        **more,
    )
    if job is not None:
        _count_time(job, now)
        events.append(session, job, _EVENT_OF[state], now, message, {"reason": reason})
    return job


def _count_time(job: Job, now: datetime) -> None:
    if job.claimed_at is not None:
        job.seconds_used += max((now - job.claimed_at).total_seconds(), 0.0)
        job.claimed_at = None


def _move(session: Session, condition: tuple[ColumnElement[bool], ...], **values: object) -> Job | None:
    statement = (
        update(Job)
        .where(*condition)
        .values(version=Job.version + 1, **values)
        .returning(Job)
        # The rows that the session holds already are refreshed from what the database answers, never from a guess.
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return session.scalars(statement).one_or_none()
