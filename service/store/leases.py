"""Who may train a job, and until when.

A claim gives a lease: the right to train a job for some seconds, renewed while the worker lives. The attempt number of
the lease fences every later write. `attempt_outcomes` has how it ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.spec.fields.training import InitialWeights
from fitqueue.states import JobState
from service import clock
from service.forecast.turns import TurnsBy
from service.models import Checkpoint, Dataset, Job
from service.store import claims, gpus, transitions, turns, usage, workers
from service.store.gpus import Machine, VisibleGPU
from service.store.usage import MeasuredUse


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


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        Job.id == lease.job_id,
        Job.state == JobState.RUNNING,
        Job.attempt == lease.attempt,
        Job.worker_id == lease.worker_id,
    )
