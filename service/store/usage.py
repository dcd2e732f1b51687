"""What attempts use: seconds of GPUs and processors, memory, and bytes in the storage.

A worker measures its running attempts, and each renewal of a lease stores what it has measured so far. So an attempt
that dies loses at most what it used since the last renewal. GPU-seconds are not measured: an attempt uses its GPUs for
as long as it holds them, because no other job can have them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import cast, func, literal, null, select, union_all
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service import clock
from service.models import Artifact, Checkpoint, Job, PoolUsage, Snapshot
from service.store import owner_usage, shared_rows, turns


@dataclass(frozen=True)
class MeasuredUse:
    """What the training process of an attempt has used so far. 0 is what could not be measured."""

    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_gpu_memory_bytes: int = 0
    """The most memory that was in use on one of its GPUs."""


@dataclass(frozen=True)
class Use:
    """What one attempt, or several, used."""

    seconds: float
    gpu_seconds: float
    measured: MeasuredUse


@dataclass(frozen=True)
class StoredBytes:
    """How large the files of a job are in the storage. A file with several names counts once."""

    checkpoints: int
    snapshots: int
    artifacts: int


@dataclass(frozen=True)
class PoolUse:
    """What all attempts in a pool have used, also those of jobs that are deleted."""

    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0


def columns(measured: MeasuredUse | None) -> dict[str, Any]:
    """Return the values of the columns that hold what the running attempt has used."""
    if measured is None:
        return {}
    return {
        "attempt_cpu_seconds": measured.cpu_seconds,
        "attempt_peak_memory_bytes": measured.peak_memory_bytes,
        "attempt_peak_gpu_memory_bytes": measured.peak_gpu_memory_bytes,
    }


def begin_attempt(job: Job) -> None:
    """Add the attempt before this one to the earlier ones. The job's row is locked."""
    earlier = _of_all(job)
    job.earlier_seconds += job.attempt_seconds
    job.earlier_cpu_seconds = earlier.cpu_seconds
    job.earlier_peak_memory_bytes = earlier.peak_memory_bytes
    job.earlier_peak_gpu_memory_bytes = earlier.peak_gpu_memory_bytes
    job.attempt_seconds = job.attempt_cpu_seconds = 0.0
    job.attempt_peak_memory_bytes = job.attempt_peak_gpu_memory_bytes = 0


def end_attempt(session: Session, job: Job, now: datetime) -> None:
    """Count how long the attempt ran, unless no attempt runs, and add its use to its pool's and its owner's."""
    if job.claimed_at is None:
        return
    job.attempt_seconds = _seconds_between(job.claimed_at, now)
    job.seconds_used += job.attempt_seconds
    job.claimed_at = None
    gpu_seconds = job.gpus * job.attempt_seconds
    used = {"gpu_seconds": gpu_seconds, "cpu_seconds": job.attempt_cpu_seconds}
    shared_rows.add(session, PoolUsage, {"pool": job.pool}, used)
    owner_usage.add(session, job, used)
    turns.end_attempt(session, job, now)


def of_attempt(job: Job, now: datetime) -> Use:
    """Return what the running attempt has used until now, or what the last one used."""
    seconds = _attempt_seconds(job, now)
    return Use(seconds, job.gpus * seconds, _of_attempt(job))


def of_all_attempts(job: Job, now: datetime) -> Use:
    """Return what all attempts at a job have used until now: sums, and the highest peaks."""
    seconds = job.earlier_seconds + _attempt_seconds(job, now)
    return Use(seconds, job.gpus * seconds, _of_all(job))


def stored_bytes(session: Session, job_id: str) -> StoredBytes:
    """Return how large the files of a job are that are stored now."""
    files = select(Checkpoint.storage_key, Checkpoint.size).where(Checkpoint.job_id == job_id).distinct().subquery()
    checkpoints = select(func.sum(files.c.size)).scalar_subquery()
    snapshots = select(func.sum(Snapshot.size)).where(Snapshot.job_id == job_id).scalar_subquery()
    artifacts = select(func.sum(Artifact.size)).where(Artifact.job_id == job_id).scalar_subquery()
    return StoredBytes(*(int(size or 0) for size in session.execute(select(checkpoints, snapshots, artifacts)).one()))


def by_pool(session: Session) -> dict[str, PoolUse]:
    """Return what was used in each pool until now, by the running attempts, too. These figures never shrink.

    One statement reads them all, so that an attempt that is about to end counts either as running or as ended.
    """
    now = clock.now(session)
    running = select(Job.pool, Job.attempt_cpu_seconds, literal(0.0), Job.gpus, Job.claimed_at)
    ended = select(
        PoolUsage.pool, PoolUsage.cpu_seconds, PoolUsage.gpu_seconds, literal(0), cast(null(), Job.claimed_at.type)
    )
    uses: dict[str, PoolUse] = {}
    rows = session.execute(union_all(running.where(Job.state == JobState.RUNNING), ended))
    for pool, cpu_seconds, gpu_seconds, gpus, since in rows:
        use = uses.get(pool, PoolUse())
        held = 0.0 if since is None else gpus * _seconds_between(since, now)
        uses[pool] = PoolUse(use.gpu_seconds + gpu_seconds + held, use.cpu_seconds + cpu_seconds)
    return uses


def _of_attempt(job: Job) -> MeasuredUse:
    return MeasuredUse(job.attempt_cpu_seconds, job.attempt_peak_memory_bytes, job.attempt_peak_gpu_memory_bytes)


def _of_all(job: Job) -> MeasuredUse:
    return MeasuredUse(
        job.earlier_cpu_seconds + job.attempt_cpu_seconds,
        max(job.earlier_peak_memory_bytes, job.attempt_peak_memory_bytes),
        max(job.earlier_peak_gpu_memory_bytes, job.attempt_peak_gpu_memory_bytes),
    )


def _attempt_seconds(job: Job, now: datetime) -> float:
    return job.attempt_seconds if job.claimed_at is None else _seconds_between(job.claimed_at, now)


def _seconds_between(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
