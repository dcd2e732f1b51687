"""Which attempt holds which GPU.

An attempt holds GPUs from its claim until its lease ends. The workers of a machine all see the same GPUs, and none of
them knows what the others hold. The database does: the primary key of `gpu_claims` lets nobody hold a GPU twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.models import GPUClaim, Job


@dataclass(frozen=True)
class VisibleGPU:
    """A GPU as a worker sees it at this moment."""

    uuid: str
    is_used: bool = False
    """Whether something has memory on it: a job, or a program outside FitQueue."""


@dataclass(frozen=True)
class Machine:
    """The GPUs of a worker's machine. Those that are neither free nor foreign are held by jobs."""

    visible: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    """Used by a program outside FitQueue, so no job can count on them."""


class GPUTaken(Exception):
    """Another worker of the machine claimed the GPU at the same moment."""


def inspect(session: Session, visible: Sequence[VisibleGPU]) -> Machine:
    """Sort the GPUs that a worker sees by who has them."""
    held = _held_among(session, [gpu.uuid for gpu in visible])
    return Machine(
        visible=tuple(gpu.uuid for gpu in visible),
        free=tuple(gpu.uuid for gpu in visible if gpu.uuid not in held and not gpu.is_used),
        foreign=frozenset(gpu.uuid for gpu in visible if gpu.uuid not in held and gpu.is_used),
    )


def hold(session: Session, job: Job, uuids: Sequence[str], now: datetime) -> None:
    """Give these GPUs to the job's current attempt. The caller has locked the job's row.

    Raises:
        GPUTaken: the transaction must be rolled back to before the claim.
    """
    rows = [
        {"gpu_uuid": uuid, "job_id": job.id, "attempt": job.attempt, "worker_id": job.worker_id, "claimed_at": now}
        for uuid in sorted(uuids)  # in one order everywhere, or two workers could wait for each other
    ]
    try:
        # One statement: several would be sent as a pipeline, which logs a complaint if one of them fails.
        session.execute(insert(GPUClaim).values(rows))
    except IntegrityError as error:
        raise GPUTaken from error


def release(session: Session, job: Job) -> None:
    """Free all GPUs that the job holds."""
    session.execute(delete(GPUClaim).where(GPUClaim.job_id == job.id))


def held_by_workers(session: Session) -> Mapping[str, list[str]]:
    """Return the UUIDs of the GPUs that jobs hold, by worker id."""
    held = defaultdict(list)
    for worker_id, uuid in session.execute(select(GPUClaim.worker_id, GPUClaim.gpu_uuid).order_by(GPUClaim.gpu_uuid)):
        held[worker_id].append(uuid)
    return held


def _held_among(session: Session, uuids: Iterable[str]) -> set[str]:
    return set(session.scalars(select(GPUClaim.gpu_uuid).where(GPUClaim.gpu_uuid.in_(list(uuids)))))
