"""Who may train a job, and until when.

A claim gives a lease: the right to train a job for some seconds, renewed while the worker lives. Its attempt number is
the fence of every later write. A lease that is out goes back into the queue by any worker's sweeper (`expire_leases`).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.states import JobState, Reason
from service import clock
from service.models import Checkpoint, Dataset, Job, Snapshot
from service.store import gpu_reservation, gpus, transitions
from service.store.gpus import GPUTaken, Machine, VisibleGPU

SWEEP_LIMIT: Final = 100
LONGEST_BACKOFF_SECONDS: Final = 300.0
STORE_BACKOFF_SECONDS: Final = 10.0
_MENDED_BY_TIME: Final = {Reason.STORAGE_FAILED, Reason.INVALID_DATA, Reason.INVALID_MODEL}
"""The last two are verdicts of a loss where data or weights could not be downloaded."""
MAX_STALLED_WITH_REASON: Final = 2
MAX_STALLED_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Lease:
    """The right to train `job_id` as its attempt number `attempt`."""

    job_id: str
    attempt: int
    worker_id: str


@dataclass(frozen=True)
class ClaimedJob:
    """A job to train. `dataset_key` names the stored `.npz`; it is None for a built-in data set."""

    lease: Lease
    pool: str
    gpus: tuple[str, ...]
    """The UUIDs of those that the attempt holds until its lease ends."""
    spec: dict[str, Any]
    dataset_key: str | None
    dataset_sha256: str | None
    seconds_used: float
    """How long earlier attempts ran, of the job's `max_runtime_seconds`."""
    stalled_attempts: int
    """How many attempts in a row were lost at the same place."""
    extended_at_epoch: int | None
    """After how many epochs the job had ended when it was extended; None where it never was."""
    initial_weights_key: str | None
    """Where the weights lie that training begins with; None also where the job that had them was deleted."""


@dataclass(frozen=True)
class Renewal:
    """What somebody has asked for meanwhile."""

    cancel_requested: bool
    pause_requested: bool


class LeaseLost(Exception):
    """The job belongs to this attempt no longer: the writer must stop, and nothing it did since counts."""


def claim(
    session: Session, worker_id: str, pools: Sequence[str], seen: Sequence[VisibleGPU], lease_seconds: float
) -> ClaimedJob | None:
    """Takes the best job that waits in these pools, with GPUs of those `seen` that are free; None where there is none.

    The best is the oldest of the highest priority, of those whose turn it is (`turns`).
    """
    if not seen:
        return _claim(session, worker_id, pools, Machine(), lease_seconds)
    for _ in seen:  # whoever is too late for one finds fewer free the next time
        with suppress(GPUTaken), session.begin_nested():
            return _claim(session, worker_id, pools, gpus.look(session, seen), lease_seconds)
    return None


def _claim(
    session: Session, worker_id: str, pools: Sequence[str], machine: Machine, lease_seconds: float
) -> ClaimedJob | None:
    """Raises GPUTaken."""
    now = clock.now(session)
    # SKIP LOCKED: workers that claim at the same moment take different jobs. SQLite, where only one writes, ignores it.
    candidate = (
        select(Job.id)
        .where(
            Job.state == JobState.QUEUED,
            Job.pool.in_(pools),
            Job.gpus <= len(machine.free),
            gpu_reservation.is_due(now),
            gpu_reservation.may_claim_gpus(session, machine, now, lease_seconds),
        )
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    expires_at = now + timedelta(seconds=lease_seconds)
    job = transitions.claim(session, candidate, worker_id, machine.free, expires_at, now)
    if job is None:
        return None
    dataset = session.get(Dataset, job.dataset_id) if job.dataset_id else None
    return ClaimedJob(
        lease=Lease(job.id, job.attempt, worker_id),
        pool=job.pool,
        gpus=machine.free[: job.gpus],
        spec=job.spec,
        dataset_key=dataset.storage_key if dataset else None,
        dataset_sha256=dataset.sha256 if dataset else None,
        seconds_used=job.seconds_used,
        stalled_attempts=job.stalled_attempts,
        extended_at_epoch=job.extended_at_epoch,
        initial_weights_key=_initial_weights_key(session, job.spec),
    )


def _initial_weights_key(session: Session, spec: Mapping[str, Any]) -> str | None:
    """Of the best weights at this moment: the job that they are of may train still."""
    wanted = spec.get("initial_weights")
    if wanted is None:
        return None
    return session.scalar(
        select(Checkpoint.storage_key).where(Checkpoint.job_id == wanted["job"], Checkpoint.name == "best")
    )


def renew(session: Session, lease: Lease, lease_seconds: float) -> Renewal | None:
    """Prolongs the lease and tells whether somebody asked for the end; None where the lease is lost.

    A lease that ran out but was not yet taken back is renewed: nobody else has the job.
    """
    expires_at = clock.now(session) + timedelta(seconds=lease_seconds)
    row = session.execute(
        update(Job)
        .where(*_held(lease))
        .values(lease_expires_at=expires_at)
        .returning(Job.cancel_requested_at, Job.pause_requested_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return None if row is None else Renewal(cancel_requested=row[0] is not None, pause_requested=row[1] is not None)


def finish(session: Session, lease: Lease, reason: Reason, message: str) -> bool:
    """Ends the job. True also where this attempt had ended it before: the answer to its commit may have been lost."""
    job = transitions.finish(session, lease.job_id, lease.attempt, reason, message, clock.now(session))
    return job is not None or _ended_by(session, lease)


def requeue(session: Session, lease: Lease, why: str) -> bool:
    """Gives the job back in order, as at a shutdown: no loss, no waiting.

    A job that was to be cancelled is cancelled, and one that was to be paused is paused. `why` is a sentence for
    people. False where the lease is lost.
    """
    return _requeue(session, lease.job_id, lease.attempt, why, clock.now(session)) is not None


def fail_attempt(session: Session, lease: Lease, why: str, verdict: Reason | None = None, details: str = "") -> bool:
    """Gives the job back after an attempt was lost that the job may not be to blame for.

    It counts against `max_attempts`, and the job waits before it is tried again. With a `verdict` the job ends so if
    the attempt before was lost at the same place: then it is the job's doing after all. `why` is a sentence for people
    without its full stop, `details` are lines below it. False where the lease is lost.
    """
    job = session.scalars(select(Job).where(*_held(lease)).with_for_update()).one_or_none()
    if job is None:
        return False
    _take_back(session, job, _Loss(why, verdict, details), clock.now(session))
    return True


def expire_leases(session: Session) -> list[str]:
    """Takes back the jobs of silent workers; the pools that have them again, each once.

    A job whose worker was lost for the `max_attempts`-th time fails with `worker_lost`.
    """
    now = clock.now(session)
    expired = session.scalars(
        select(Job)
        .where(*_expired(now))
        .order_by(Job.lease_expires_at)
        .limit(SWEEP_LIMIT)
        .with_for_update(skip_locked=True)
    ).all()
    put_back_jobs = [
        job
        for job in expired
        if _take_back(session, job, _Loss(f"The worker {job.worker_id} was silent for too long"), now)
    ]
    return sorted({job.pool for job in put_back_jobs})


def some_have_expired(session: Session) -> bool:
    """Whether `expire_leases` would find any: to look writes nothing, and can be done often."""
    return session.scalar(select(Job.id).where(*_expired(clock.now(session))).limit(1)) is not None


def _expired(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Job.state == JobState.RUNNING, Job.lease_expires_at < now


def pools_with_work(session: Session) -> list[str]:
    """The pools in which a job waits that could be trained now."""
    query = select(Job.pool).where(Job.state == JobState.QUEUED, gpu_reservation.is_due(clock.now(session))).distinct()
    return list(session.scalars(query.order_by(Job.pool)))


def begin_write(session: Session, lease: Lease, number: int) -> bool:
    """Whether the attempt's write of this number, counted from 1, is still to be done. Locks the job's row.

    The answer to a commit can be lost: then the write is tried again, and would else be done twice.

    Raises:
        LeaseLost: the job is not this attempt's any more.
    """
    begun = session.execute(
        update(Job)
        .where(*_held(lease), Job.last_write < number)
        .values(last_write=number)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if begun is None:
        check_held(session, lease)
    return begun is not None


def check_held(session: Session, lease: Lease) -> None:
    """Locks the job's row for this transaction.

    Raises:
        LeaseLost: the job is not this attempt's any more.
    """
    held = session.execute(select(Job.id).where(*_held(lease)).with_for_update()).one_or_none()
    if held is None:
        raise LeaseLost(f"Attempt {lease.attempt} of {lease.job_id} is over for {lease.worker_id}.")


def _held(lease: Lease) -> tuple[Any, ...]:
    return (
        Job.id == lease.job_id,
        Job.state == JobState.RUNNING,
        Job.attempt == lease.attempt,
        Job.worker_id == lease.worker_id,
    )


def _ended_by(session: Session, lease: Lease) -> bool:
    found = session.execute(
        select(Job.id).where(
            Job.id == lease.job_id,
            Job.finished_at.is_not(None),
            Job.attempt == lease.attempt,
            Job.worker_id == lease.worker_id,
        )
    ).one_or_none()
    return found is not None


@dataclass(frozen=True)
class _Loss:
    """Of an attempt. See `fail_attempt`."""

    why: str
    verdict: Reason | None = None
    details: str = ""

    def told(self, what_follows: str) -> str:
        return "\n".join(filter(None, [f"{self.why}; {what_follows}.", self.details]))


def _take_back(session: Session, job: Job, loss: _Loss, now: datetime) -> bool:
    """True where the job waits again."""
    place = _place(session, job)
    stalled_attempts = job.stalled_attempts + 1 if (job.stalled_epoch, job.stalled_step) == place else 1
    end = _end_by_loss(job, loss, stalled_attempts) if job.cancel_requested_at is None else None
    if end is not None:
        transitions.finish(session, job.id, job.attempt, *end, now)
        return False
    moved = _requeue(
        session,
        job.id,
        job.attempt,
        loss.told("the job waits again"),
        now,
        not_before=now + timedelta(seconds=backoff_seconds(stalled_attempts, loss.verdict)),
        failed_attempts=Job.failed_attempts + 1,
        stalled_attempts=stalled_attempts,
        stalled_epoch=place[0],
        stalled_step=place[1],
    )
    return moved is not None and moved.state is JobState.QUEUED


def _end_by_loss(job: Job, loss: _Loss, stalled_attempts: int) -> tuple[Reason, str] | None:
    """The reason and the message of the end, where there is no use in another attempt."""
    if loss.verdict is not None and stalled_attempts >= MAX_STALLED_WITH_REASON:
        return loss.verdict, loss.told(f"this was attempt {stalled_attempts} in a row that ended at the same place")
    if job.failed_attempts + 1 >= job.max_attempts:
        return loss.verdict or Reason.WORKER_LOST, loss.told(f"this was the last of {job.max_attempts} attempts")
    if stalled_attempts >= MAX_STALLED_ATTEMPTS:
        return Reason.NO_PROGRESS, loss.told(f"{stalled_attempts} attempts in a row ended at the same place")
    return None


def _place(session: Session, job: Job) -> tuple[int, int]:
    """From where another attempt would go on: epochs, and steps of the next."""
    newest = session.execute(
        select(Snapshot.epoch, Snapshot.step)
        .where(Snapshot.job_id == job.id)
        .order_by(Snapshot.epoch.desc(), Snapshot.step.desc())
        .limit(1)
    ).one_or_none()
    return (newest.epoch, newest.step) if newest is not None else (0, 0)


def backoff_seconds(stalled_attempts: int, verdict: Reason | None = None) -> float:
    """How long a job waits after its n-th loss at the same place: 0, 2, 4, 8 … seconds.

    A job that kills workers must not do it often; one that comes on between its losses is not to blame for them. Where
    a disk was full, or the store or the network down, it waits longer: to find it so a moment later tells nothing new.
    """
    seconds = min(2.0 ** (stalled_attempts - 1), LONGEST_BACKOFF_SECONDS) if stalled_attempts > 1 else 0.0
    return max(seconds, STORE_BACKOFF_SECONDS) if verdict in _MENDED_BY_TIME else seconds


def _requeue(session: Session, job_id: str, attempt: int, why: str, now: datetime, **changes: object) -> Job | None:
    for move in (transitions.requeue, transitions.pause):
        moved = move(session, job_id, attempt, why, now, **changes)
        if moved is not None:
            return moved
    wanted = session.execute(
        select(Job.id).where(Job.id == job_id, Job.attempt == attempt, Job.cancel_requested_at.is_not(None))
    ).one_or_none()
    if wanted is None:
        return None
    return transitions.finish(
        session, job_id, attempt, Reason.CANCELLED_BY_USER, "The job was cancelled; its worker had stopped.", now
    )
