"""Which attempt holds which GPU.

An attempt holds GPUs from its claim until its lease ends. The workers of a machine all see the same GPUs, and none of
them knows what the others hold. The database does. Claims that see the same GPU go one after another (`lock`), and the
primary key of `gpu_claims` lets nobody hold a GPU twice.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from service.models import GPUClaim, Job

FOREIGN_BYTES: Final = 1024**3
"""A GPU with more memory in use is not claimed: a program that computes takes more, a desktop less."""


@dataclass(frozen=True)
class VisibleGPU:
    """A GPU as a worker sees it at this moment."""

    uuid: str
    is_used: bool = False
    """Whether something has memory on it: a job, or a program outside FitQueue."""


@dataclass(frozen=True)
class MeasuredGPU:
    """How much of a GPU is used at this moment, by any program. None: its driver does not say."""

    uuid: str
    name: str
    utilization_percent: int | None = None
    """The share of the last second, or of a part of it, in which a program computed on the GPU."""
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


@dataclass(frozen=True)
class Machine:
    """The GPUs of a worker's machine. Those that are neither free nor foreign are held by jobs."""

    visible: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    """Used by a program outside FitQueue, so no job can count on them."""


def lock(session: Session, visible: Sequence[VisibleGPU]) -> None:
    """Wait until no other transaction claims any of these GPUs, and keep others waiting until this one ends.

    Two claims in the same milliseconds could otherwise let a small job pass a large one whose reservation is due:
    each would count a GPU as free that the other takes. SQLite has one writer at a time, so nothing needs to wait.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    keys = sorted(_lock_key(gpu.uuid) for gpu in visible)  # everywhere in one order, or two could wait for each other
    session.execute(select(*(func.pg_advisory_xact_lock(key) for key in keys)))


def _lock_key(uuid: str) -> int:
    """Return the 64-bit number under which PostgreSQL locks the GPU."""
    return int.from_bytes(hashlib.sha256(f"gpu {uuid}".encode()).digest()[:8], signed=True)


def inspect(session: Session, visible: Sequence[VisibleGPU]) -> Machine:
    """Sort the GPUs that a worker sees by who has them."""
    held = _held_among(session, [gpu.uuid for gpu in visible])
    return Machine(
        visible=tuple(gpu.uuid for gpu in visible),
        free=tuple(gpu.uuid for gpu in visible if gpu.uuid not in held and not gpu.is_used),
        foreign=frozenset(gpu.uuid for gpu in visible if gpu.uuid not in held and gpu.is_used),
    )


def most_by_pool(counts: Iterable[tuple[Collection[str], int]]) -> dict[str, int]:
    """Return the largest number of GPUs in each pool, of workers with their pools and their numbers of GPUs."""
    most: dict[str, int] = {}
    for pools, count in counts:
        most |= {pool: max(count, most.get(pool, 0)) for pool in pools}
    return most


def foreign(session: Session, measured: Sequence[MeasuredGPU]) -> frozenset[str]:
    """Return which of these GPUs, which were measured just now, a program outside FitQueue uses."""
    used = {gpu.uuid for gpu in measured if (gpu.memory_used_bytes or 0) > FOREIGN_BYTES}
    return frozenset(used - _held_among(session, used)) if used else frozenset()


def hold(session: Session, job: Job, uuids: Sequence[str], now: datetime) -> None:
    """Give these GPUs to the job's current attempt. The caller has locked them and the job's row."""
    rows = [
        {"gpu_uuid": uuid, "job_id": job.id, "attempt": job.attempt, "worker_id": job.worker_id, "claimed_at": now}
        for uuid in uuids
    ]
    session.execute(insert(GPUClaim).values(rows))


def release(session: Session, job: Job) -> None:
    """Free all GPUs that the job holds."""
    session.execute(delete(GPUClaim).where(GPUClaim.job_id == job.id))


def claims(session: Session) -> Sequence[GPUClaim]:
    """Return who holds which GPU, sorted by UUID."""
    return session.scalars(select(GPUClaim).order_by(GPUClaim.gpu_uuid)).all()


def _held_among(session: Session, uuids: Iterable[str]) -> set[str]:
    return set(session.scalars(select(GPUClaim.gpu_uuid).where(GPUClaim.gpu_uuid.in_(list(uuids)))))
