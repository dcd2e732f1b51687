"""How an attempt ends.

It has one of three outcomes, named alike on every level: the job is finished (`finish`), it is requeued in order
(`requeue`), or the attempt failed (`fail_attempt`) and `service/store/retry_policy.py` decides between the first two.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.reports import Position
from fitqueue.states import JobState, Reason
from service import clock
from service.models import Job
from service.store import leases, snapshots, transitions
from service.store.leases import Lease, LeaseLost
from service.store.retry_policy import AttemptFailure, AttemptHistory, Fail, Retry, Wait, retry_or_fail

REAP_LIMIT: Final = 100


def finish(session: Session, lease: Lease, reason: Reason, message: str) -> bool:
    """End the job. True also if this attempt ended it before: the answer to its commit may have been lost."""
    job = transitions.finish(session, lease.job_id, lease.attempt, reason, message, clock.now(session))
    return job is not None or _was_finished_by(session, lease)


def requeue(session: Session, lease: Lease, why: str, *, preempted: bool = False) -> bool:
    """Put the job back into the queue, as at a shutdown: this does not count as a failed attempt.

    A job that a user asked to cancel is cancelled, and one that a user asked to pause is paused.

    Args:
        why: a sentence for people.
        preempted: whether it made room for another job.

    Returns:
        False if the lease is lost.
    """
    data = {"preempted": True} if preempted else {}
    return _requeue_pause_or_cancel(session, lease.job_id, lease.attempt, why, clock.now(session), data) is not None


def requeue_all(session: Session, why: str, ended_at: datetime) -> int:
    """Requeue every running job as `requeue` does: the workers that had them are gone for good.

    Args:
        ended_at: when the attempts ended.

    Returns:
        How many jobs left their workers.
    """
    running = session.execute(select(Job.id, Job.attempt).where(Job.state == JobState.RUNNING).order_by(Job.id)).all()
    for job_id, attempt in running:
        _requeue_pause_or_cancel(session, job_id, attempt, why, ended_at, {})
    return len(running)


def fail_attempt(session: Session, lease: Lease, failure: AttemptFailure) -> bool:
    """Requeue the job or end it, as `retry_policy` decides. False if the lease is lost."""
    try:
        job = leases.held_job(session, lease)
    except LeaseLost:
        return False
    _retry_or_fail(session, job, failure, clock.now(session))
    return True


def expire_leases(session: Session) -> list[str]:
    """Fail the attempts of silent workers; return the pools in which a job is queued again."""
    now = clock.now(session)
    expired = session.scalars(
        select(Job)
        .where(*_expired(now))
        .order_by(Job.lease_expires_at)
        .limit(REAP_LIMIT)
        .with_for_update(skip_locked=True)
    ).all()
    requeued = [
        job
        for job in expired
        if _retry_or_fail(session, job, AttemptFailure(f"The worker {job.worker_id} was silent for too long"), now)
    ]
    return sorted({job.pool for job in requeued})


def any_expired(session: Session) -> bool:
    """Tell whether `expire_leases` would find any. This only reads, so it can be asked often."""
    return session.scalar(select(Job.id).where(*_expired(clock.now(session))).limit(1)) is not None


def _expired(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Job.state == JobState.RUNNING, Job.lease_expires_at < now


def _was_finished_by(session: Session, lease: Lease) -> bool:
    finished = session.execute(
        select(Job.id).where(
            Job.id == lease.job_id,
            Job.finished_at.is_not(None),
            Job.attempt == lease.attempt,
            Job.worker_id == lease.worker_id,
        )
    ).one_or_none()
    return finished is not None


def _retry_or_fail(session: Session, job: Job, failure: AttemptFailure, now: datetime) -> bool:
    """Apply the decision; return whether the job is queued again."""
    outcome = retry_or_fail(failure, _history(session, job))
    if isinstance(outcome, Fail):
        transitions.finish(session, job.id, job.attempt, outcome.reason, outcome.message, now)
        return False
    moved = _requeue_pause_or_cancel(
        session,
        job.id,
        job.attempt,
        outcome.message,
        now,
        {"failure": failure.why},
        not_before=now + timedelta(seconds=outcome.delay_seconds),
        **_counted(outcome),
    )
    return moved is not None and moved.state is JobState.QUEUED


def _counted(outcome: Retry | Wait) -> dict[str, object]:
    """Return the columns that count attempts, as they are after this one."""
    if isinstance(outcome, Wait):
        return {"outages": Job.outages + 1}
    return {
        "failed_attempts": Job.failed_attempts + 1,
        "stalled_attempts": outcome.stalled_attempts,
        "stalled_epoch": outcome.stalled_at.epoch,
        "stalled_step": outcome.stalled_at.step,
    }


def _history(session: Session, job: Job) -> AttemptHistory:
    newest = next(iter(snapshots.newest_first(session, job.id)), None)
    stalled_at = None
    if job.stalled_epoch is not None and job.stalled_step is not None:
        stalled_at = Position(job.stalled_epoch, job.stalled_step)
    return AttemptHistory(
        failed_attempts=job.failed_attempts,
        max_attempts=job.max_attempts,
        stalled_attempts=job.stalled_attempts,
        stalled_at=stalled_at,
        resumes_at=newest.position if newest is not None else Position(0),
        is_cancelled=job.cancel_requested_at is not None,
        outages=job.outages,
    )


def _requeue_pause_or_cancel(
    session: Session,
    job_id: str,
    attempt: int,
    message: str,
    now: datetime,
    data: Mapping[str, Any],
    **changes: object,
) -> Job | None:
    """Requeue, pause or cancel a running job, as users have asked."""
    for move in (transitions.requeue, transitions.pause):
        moved = move(session, job_id, attempt, message, now, data, **changes)
        if moved is not None:
            return moved
    cancel_requested = session.execute(
        select(Job.id).where(Job.id == job_id, Job.attempt == attempt, Job.cancel_requested_at.is_not(None))
    ).one_or_none()
    if cancel_requested is None:
        return None
    return transitions.finish(
        session, job_id, attempt, Reason.CANCELLED_BY_USER, "The job was cancelled; its worker had stopped.", now
    )
