"""The transitions of a job between its states. No other module writes `jobs.state`.

Each transition is one conditional write: it changes the row only if the job is still in the state, and in the attempt,
that the caller expects. If it returns None, the job was not in that state any more, which is normal and not an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ScalarSelect, Update, and_, bindparam, or_, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.states import FINAL_STATES, WAITING_STATES, EventKind, JobState, Reason, state_of
from fitqueue.webhooks import WebhookEvent
from service.models import Job, JobLabel
from service.store import counters, events, gpus, training_times, turns, usage, webhook_deliveries
from service.store.counters import Duration
from service.store.retention import FIRST_LOOK

NOW: Final = bindparam("now", type_=Job.not_before.type)
"""The time of a claim, as a parameter: building a statement takes longer than running it."""

Requester = Mapping[str, str | None]
"""Who asked for a transition, as its event shows it: `{"by": the name of a user}`."""

_EVENT_OF_END = {
    JobState.SUCCEEDED: EventKind.SUCCEEDED,
    JobState.FAILED: EventKind.FAILED,
    JobState.CANCELLED: EventKind.CANCELLED,
}
_TOLD_AT_END = {
    JobState.SUCCEEDED: WebhookEvent.JOB_SUCCEEDED,
    JobState.FAILED: WebhookEvent.JOB_FAILED,
    JobState.CANCELLED: WebhookEvent.JOB_CANCELLED,
}


@dataclass(frozen=True)
class Claimed:
    """A claimed job and the UUIDs of the GPUs that its attempt holds."""

    job: Job
    gpus: tuple[str, ...]


def submit(session: Session, job: Job, labels: dict[str, str]) -> None:
    """Store a new job with its first event (∅ → queued)."""
    job.state = JobState.QUEUED
    job.not_after = deadline_of(job.max_queued_seconds, job.created_at)
    session.add(job)
    session.flush()
    session.add_all(JobLabel(job_id=job.id, key=key, value=value) for key, value in labels.items())
    events.append(session, job, EventKind.SUBMITTED, job.created_at, "The job was checked and stored.")


def is_claimable(now: Any, job: Any = Job) -> ColumnElement[bool]:
    """Return the condition that a queued job may be claimed now: not too early for another try, and not too late."""
    return and_(
        or_(job.not_before.is_(None), job.not_before <= now),
        or_(job.not_after.is_(None), job.not_after > now),
    )


def deadline_of(max_queued_seconds: int | None, queued_since: datetime) -> datetime | None:
    """Return until when a worker must have claimed a job that none has claimed yet; None: there is time for ever."""
    return None if max_queued_seconds is None else queued_since + timedelta(seconds=max_queued_seconds)


def claim_statement(candidate: ScalarSelect[str], turn_charge: ColumnElement[float]) -> Update:
    """Return the statement that `claim` runs, with parameters that no column is named like.

    Args:
        candidate: selects the job.
        turn_charge: what it counts in the turns.
    """
    return _update(
        (Job.id == candidate, Job.state == JobState.QUEUED),
        state=JobState.RUNNING,
        attempt=Job.attempt + 1,
        worker_id=bindparam("claimed_by"),
        lease_expires_at=bindparam("expires_at", type_=Job.lease_expires_at.type),
        claimed_at=NOW,
        not_before=None,
        not_after=None,
        last_write=0,
        turn_charge=turn_charge,
    )


def claim(
    session: Session,
    statement: Update,
    parameters: Mapping[str, Any],
    worker_id: str,
    free_gpus: Sequence[str],
    lease_expires_at: datetime,
) -> Claimed | None:
    """Give the job that the statement selects to the worker, as a new attempt with its GPUs (queued → running).

    Args:
        statement: what `claim_statement` returned.
        parameters: those of its candidate, and `now`.
    """
    now: datetime = parameters["now"]
    job = _run(session, statement, {**parameters, "claimed_by": worker_id, "expires_at": lease_expires_at})
    if job is None:
        return None
    if job.started_at is None:
        job.started_at = now
    usage.begin_attempt(job)
    held = tuple(free_gpus[: job.gpus])
    if held:
        gpus.hold(session, job, held, now)
    queued_since = events.queued_since(session, job)
    message = f"The worker {worker_id} claimed the job for attempt {job.attempt}."
    events.append(session, job, EventKind.CLAIMED, now, message, {"worker": worker_id, "gpus": list(held)})
    turns.begin_attempt(session, job, now)
    counters.observe(session, Duration.CLAIM_LATENCY, job.pool, max((now - queued_since).total_seconds(), 0.0))
    return Claimed(job, held)


def finish(session: Session, job_id: str, attempt: int, reason: Reason, message: str, now: datetime) -> Job | None:
    """End the job as the reason says (running → succeeded, failed or cancelled)."""
    return _end(session, (Job.id == job_id, *_running(attempt)), reason, message, now)


def cancel_queued(session: Session, job_id: str, by: Requester, now: datetime) -> Job | None:
    """Cancel a job that waits for a worker (queued → cancelled)."""
    return _cancel_idle(session, job_id, JobState.QUEUED, "The job was cancelled while it was queued.", by, now)


def cancel_paused(session: Session, job_id: str, by: Requester, now: datetime) -> Job | None:
    """Cancel a paused job (paused → cancelled)."""
    return _cancel_idle(session, job_id, JobState.PAUSED, "The job was cancelled while it was paused.", by, now)


def end_unscheduled(session: Session, job_id: str, message: str, now: datetime) -> Job | None:
    """End a job that no worker has claimed in time (queued → failed)."""
    condition = (Job.id == job_id, Job.state == JobState.QUEUED, Job.not_after <= now)
    return _end(session, condition, Reason.NOT_SCHEDULED, message, now)


def change(
    session: Session, job_id: str, message: str, data: Mapping[str, Any], now: datetime, **changes: object
) -> Job | None:
    """Change other columns of a job that no worker has; its state stays."""
    job = _move(session, (Job.id == job_id, Job.state.in_(WAITING_STATES)), **changes)
    if job is not None:
        events.append(session, job, EventKind.CHANGED, now, message, data)
    return job


def change_kept(
    session: Session, job_id: str, message: str, data: Mapping[str, Any], now: datetime, **changes: object
) -> Job | None:
    """Change whether a job is kept, in whatever state it is."""
    job = _move(session, (Job.id == job_id,), **changes)
    if job is not None:
        events.append(session, job, EventKind.CHANGED, now, message, data)
    return job


def requeue(
    session: Session,
    job_id: str,
    attempt: int,
    message: str,
    now: datetime,
    data: Mapping[str, Any] = MappingProxyType({}),
    **changes: object,
) -> Job | None:
    """Put the job back into the queue, unless a user has asked for something else (running → queued).

    Args:
        data: what the event says beyond its message, such as why the attempt failed.
        changes: other columns, such as the time before which the job may not be claimed.
    """
    nothing_asked = Job.cancel_requested_at.is_(None), Job.pause_requested_at.is_(None)
    job = _end_lease(session, (Job.id == job_id, *_running(attempt), *nothing_asked), JobState.QUEUED, changes)
    if job is not None:
        events.append(session, job, EventKind.REQUEUED, now, message, data)
        webhook_deliveries.announce(session, job, WebhookEvent.JOB_REQUEUED, message, now)
        usage.end_attempt(session, job, now)
    return job


def pause(
    session: Session,
    job_id: str,
    attempt: int,
    message: str,
    now: datetime,
    data: Mapping[str, Any] = MappingProxyType({}),
    **changes: object,
) -> Job | None:
    """Pause the job, if a user has asked for that and for nothing more (running → paused).

    The arguments are those of `requeue`.
    """
    pause_asked = Job.cancel_requested_at.is_(None), Job.pause_requested_at.is_not(None)
    job = _end_lease(session, (Job.id == job_id, *_running(attempt), *pause_asked), JobState.PAUSED, changes)
    if job is not None:
        events.append(session, job, EventKind.PAUSED, now, message, data)
        usage.end_attempt(session, job, now)
    return job


def pause_queued(session: Session, job_id: str, by: Requester, now: datetime) -> Job | None:
    """Pause a job that waits for a worker (queued → paused)."""
    idle: dict[str, object] = {"not_before": None, "not_after": None}
    job = _move(session, (Job.id == job_id, Job.state == JobState.QUEUED), state=JobState.PAUSED, **idle)
    if job is not None:
        events.append(session, job, EventKind.PAUSED, now, "The job was paused while it was queued.", by)
    return job


def unpause(session: Session, job_id: str, by: Requester, now: datetime) -> Job | None:
    """Queue a paused job again (paused → queued). It may be claimed at once, even after a failed attempt."""
    job = _move(session, (Job.id == job_id, Job.state == JobState.PAUSED), state=JobState.QUEUED, not_before=None)
    if job is not None:
        if job.started_at is None:
            job.not_after = deadline_of(job.max_queued_seconds, now)
        events.append(session, job, EventKind.UNPAUSED, now, "The job was resumed and is queued.", by)
    return job


def extend(
    session: Session, job_id: str, data: Mapping[str, str | int | None], now: datetime, **changes: object
) -> Job | None:
    """Queue an ended job again, with more epochs (succeeded, failed or cancelled → queued).

    `changes` are other columns.
    """
    job = _move(
        session,
        (Job.id == job_id, Job.state.in_(FINAL_STATES)),
        state=JobState.QUEUED,
        reason=None,
        message=None,
        finished_at=None,
        cancel_requested_at=None,
        worker_id=None,
        retention_due_at=None,
        **changes,
    )
    if job is not None:
        message = f"The job was extended by {data['epochs']} epochs and is queued."
        events.append(session, job, EventKind.EXTENDED, now, message, data)
    return job


def _cancel_idle(
    session: Session, job_id: str, state: JobState, message: str, by: Requester, now: datetime
) -> Job | None:
    """Cancel a job that no worker has."""
    condition = (Job.id == job_id, Job.state == state)
    return _end(session, condition, Reason.CANCELLED_BY_USER, message, now, by, cancel_requested_at=now)


def _end_lease(
    session: Session, condition: tuple[ColumnElement[bool], ...], state: JobState, changes: Mapping[str, object]
) -> Job | None:
    return _move(
        session,
        condition,
        state=state,
        phase=None,
        lease_expires_at=None,
        worker_id=None,
        pause_requested_at=None,
        preempt_requested_at=None,
        **changes,
    )


def _running(attempt: int) -> tuple[ColumnElement[bool], ...]:
    return Job.state == JobState.RUNNING, Job.attempt == attempt


def _end(
    session: Session,
    condition: tuple[ColumnElement[bool], ...],
    reason: Reason,
    message: str,
    now: datetime,
    by: Requester = MappingProxyType({}),
    **changes: datetime,
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
        not_after=None,
        pause_requested_at=None,
        preempt_requested_at=None,
        finished_at=now,
        retention_due_at=now + FIRST_LOOK,
        **changes,
    )
    if job is not None:
        events.append(session, job, _EVENT_OF_END[state], now, message, {"reason": reason, **by})
        webhook_deliveries.announce(session, job, _TOLD_AT_END[state], message, now)
        usage.end_attempt(session, job, now)
        training_times.record(session, job, now)
        counters.count_end(session, reason)
    return job


def _move(session: Session, condition: tuple[ColumnElement[bool], ...], **values: object) -> Job | None:
    return _run(session, _update(condition, **values))


def _update(condition: tuple[ColumnElement[bool], ...], **values: object) -> Update:
    return update(Job).where(*condition).values(version=Job.version + 1, **values)


def _run(session: Session, statement: Update, parameters: Mapping[str, Any] | None = None) -> Job | None:
    # Objects in the session are refreshed from what the database returns, never from a guess.
    returning = statement.returning(Job).execution_options(synchronize_session=False, populate_existing=True)
    job = session.scalars(returning, parameters).one_or_none()
    # Every transition passes here, so none can forget it. After an expired lease a silent worker may still have a
    # process on the GPU, but each process exits when 0.9 of a lease has passed without a renewal.
    if job is not None and job.gpus and job.state is not JobState.RUNNING:
        gpus.release(session, job)
    return job
