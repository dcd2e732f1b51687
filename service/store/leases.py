"""Who may train a job, and until when.

A claim gives a lease: the right to train a job for some seconds, renewed while the worker lives. The attempt number of
the lease fences every later write. Any worker's reaper fails attempts whose leases expired (`expire_leases`).

An attempt has one of three outcomes, named alike on every level: the job is finished (`finish`), it is requeued in
order (`requeue`), or the attempt failed (`fail_attempt`) and `service/store/retry_policy.py` decides between the first
two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.reports import Position
from fitqueue.spec.fields.training import InitialWeights
from fitqueue.states import JobState, Reason
from service import clock
from service.forecast.turns import TurnsBy
from service.models import Checkpoint, Dataset, Job
from service.store import claims, gpus, snapshots, transitions, turns, usage, workers
from service.store.gpus import Machine, VisibleGPU
from service.store.retry_policy import AttemptFailure, AttemptHistory, Fail, Retry, Wait, retry_or_fail
from service.store.usage import MeasuredUse

REAP_LIMIT: Final = 100


@dataclass(frozen=True)
class Lease:
    """The right to train `job_id` as its attempt number `attempt`."""

    job_id: str
    attempt: int
    worker_id: str


@dataclass(frozen=True)
class ClaimedJob:
    """A job to train."""

    lease: Lease
    gpus: tuple[str, ...]
    """UUIDs of the GPUs that the attempt holds until its lease ends."""
    spec: dict[str, Any]
    dataset_key: str | None
    """The storage key of the job's `.npz`; None for a built-in data set."""
    dataset_sha256: str | None
    seconds_used: float
    """How long earlier attempts ran; it counts towards the job's `max_runtime_seconds`."""
    stalled_attempts: int
    """How many attempts in a row failed at the same position."""
    extended_at_epoch: int | None
    """How many epochs had been trained when the job was extended; None if it never was."""
    initial_weights_key: str | None
    """The storage key of a checkpoint to start from; None also if the job that had it was deleted."""
    initial_weights_sha256: str | None
    weights_dataset_key: str | None = None
    """The storage key of an `.npz` of weights to start from."""
    weights_dataset_sha256: str | None = None


@dataclass(frozen=True)
class StopRequests:
    """What users have asked of a running job."""

    cancel: bool = False
    pause: bool = False
    drain: bool = False
    """Whether the time is over that its draining worker gave it."""
    preempt: bool = False
    """Whether another job needs its device."""


class LeaseLost(Exception):
    """The attempt no longer holds the job: the writer must stop, and nothing that it does from now on counts."""


def claim(
    session: Session,
    worker_id: str,
    pools: Sequence[str],
    gpus_seen: Sequence[VisibleGPU],
    lease_seconds: float,
    by: TurnsBy = TurnsBy.USER,
) -> ClaimedJob | None:
    """Claim the first job in these pools that fits, together with the GPUs it needs, of those that are free.

    `claim_order` says which one is first. A large job that has waited for its GPUs long enough goes first
    (`gpu_reservation`), and those of users and projects at their limits wait (`claim_limits`). Return None if no job
    fits, or if the worker drains.
    """
    if not workers.may_claim(session, worker_id):
        return None
    machine = Machine()
    if gpus_seen:
        gpus.lock(session, gpus_seen)
        machine = gpus.inspect(session, gpus_seen)
    claimed = claims.claim_first(session, worker_id, pools, machine, lease_seconds, by)
    if claimed is None:
        return None
    job = claimed.job
    dataset = session.get(Dataset, job.dataset_id) if job.dataset_id else None
    weights = session.get(Dataset, job.weights_dataset_id) if job.weights_dataset_id else None
    initial_weights_key, initial_weights_sha256 = _initial_weights(session, job.spec)
    return ClaimedJob(
        lease=Lease(job.id, job.attempt, worker_id),
        gpus=claimed.gpus,
        spec=job.spec,
        dataset_key=dataset.storage_key if dataset else None,
        dataset_sha256=dataset.sha256 if dataset else None,
        seconds_used=job.seconds_used,
        stalled_attempts=job.stalled_attempts,
        extended_at_epoch=job.extended_at_epoch,
        initial_weights_key=initial_weights_key,
        initial_weights_sha256=initial_weights_sha256,
        weights_dataset_key=weights.storage_key if weights else None,
        weights_dataset_sha256=weights.sha256 if weights else None,
    )


def _initial_weights(session: Session, spec: Mapping[str, Any]) -> tuple[str, str] | tuple[None, None]:
    """Return key and sha256 of the other job's checkpoint at this moment: it may still be training."""
    stored = spec.get("initial_weights")
    if not stored or stored.get("job") is None:
        return None, None
    initial = InitialWeights.model_validate(stored, strict=False, extra="ignore")
    file = select(Checkpoint.storage_key, Checkpoint.sha256).join(Job, Checkpoint.job_id == Job.id)
    name = Checkpoint.name == initial.stored_checkpoint
    row = session.execute(file.where(Job.id == initial.job, Job.deleted_at.is_(None), name)).one_or_none()
    return (None, None) if row is None else (row.storage_key, row.sha256)


def renew(
    session: Session, lease: Lease, lease_seconds: float, measured: MeasuredUse | None = None
) -> StopRequests | None:
    """Extend the lease and return what users have asked of the job; None if the lease is lost.

    A lease that has expired is renewed if no reaper has noticed it yet, because nobody else has the job.

    Args:
        measured: what the attempt has used so far; None: no process trains it yet.
    """
    now = clock.now(session)
    row = session.execute(
        update(Job)
        .where(*_held(lease))
        .values(lease_expires_at=now + timedelta(seconds=lease_seconds), **usage.columns(measured))
        .returning(
            Job.cancel_requested_at,
            Job.pause_requested_at,
            workers.is_drain_over(lease.worker_id, now),
            Job.preempt_requested_at,
            Job.claimed_at,
            Job.turn_charge,
            Job.gpus,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    if row.claimed_at is not None and turns.is_overrun(row.claimed_at, row.turn_charge, row.gpus, now):
        turns.expect_longer(session, held_job(session, lease), now)
    return StopRequests(
        cancel=row.cancel_requested_at is not None,
        pause=row.pause_requested_at is not None,
        drain=bool(row[2]),
        preempt=row.preempt_requested_at is not None,
    )


def record_use(session: Session, lease: Lease, measured: MeasuredUse) -> None:
    """Store what the attempt has used, unless its lease is lost."""
    statement = update(Job).where(*_held(lease)).values(**usage.columns(measured))
    session.execute(statement.execution_options(synchronize_session=False))


# --- Writes of an attempt -----------------------------------------------------------------------------------------


def held_job(session: Session, lease: Lease) -> Job:
    """Lock the job's row and return it.

    Raises:
        LeaseLost: the attempt no longer holds the job.
    """
    job = session.scalars(
        select(Job).where(*_held(lease)).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
    if job is None:
        raise LeaseLost(f"Attempt {lease.attempt} of {lease.job_id} is over for {lease.worker_id}.")
    return job


def begin_write(session: Session, lease: Lease, number: int) -> Job | None:
    """Lock the job for the attempt's write of this number, counted from 1; return None if that write was done before.

    The answer to a commit can get lost. Then the write is tried again, and must not be done twice.

    Raises:
        LeaseLost: the attempt no longer holds the job.
    """
    job = session.scalars(
        update(Job)
        .where(*_held(lease), Job.last_write < number)
        .values(last_write=number)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one_or_none()
    if job is None:
        held_job(session, lease)
    return job


# --- Outcomes of an attempt ---------------------------------------------------------------------------------------


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
    job = session.scalars(select(Job).where(*_held(lease)).with_for_update()).one_or_none()
    if job is None:
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


def pools_with_work(session: Session) -> list[str]:
    """Return the pools in which a job is queued that may be claimed now."""
    claimable = select(Job.pool).where(Job.state == JobState.QUEUED, transitions.is_claimable(clock.now(session)))
    # One short query for each pool: DISTINCT would read every queued row.
    pools = list(session.scalars(claimable.order_by(Job.pool).limit(1)))
    while pools:
        found = session.scalar(claimable.where(Job.pool > pools[-1]).order_by(Job.pool).limit(1))
        if found is None:
            break
        pools.append(found)
    return pools


def _expired(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Job.state == JobState.RUNNING, Job.lease_expires_at < now


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        Job.id == lease.job_id,
        Job.state == JobState.RUNNING,
        Job.attempt == lease.attempt,
        Job.worker_id == lease.worker_id,
    )


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
