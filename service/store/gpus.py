"""Which attempt holds which GPU.

An attempt holds GPUs from its claim to the end of its lease. The workers of one machine all see the same GPUs and none
of them knows what the others hold: the database does, and the primary key of `gpu_claims` lets nobody hold one twice.
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
    """Somebody has memory on it: a job, or somebody outside, of whom nothing is known but this."""


@dataclass(frozen=True)
class Machine:
    """The GPUs of a worker's machine, by who has them. Those that are neither free nor foreign are held by jobs."""

    seen: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    """In use, and not by a job: as good as not there."""


class GPUTaken(Exception):
    """Another worker of the machine claimed it at the same moment."""


def look(session: Session, seen: Sequence[VisibleGPU]) -> Machine:
    held = _held_of(session, [gpu.uuid for gpu in seen])
    return Machine(
        seen=tuple(gpu.uuid for gpu in seen),
        free=tuple(gpu.uuid for gpu in seen if gpu.uuid not in held and not gpu.is_used),
        foreign=frozenset(gpu.uuid for gpu in seen if gpu.uuid not in held and gpu.is_used),
    )


def hold(session: Session, job: Job, uuids: Sequence[str], now: datetime) -> None:
    """The job's present attempt gets these GPUs. Its worker has the job's row locked.

    Raises:
        GPUTaken: the transaction must be rolled back to where the job was not yet claimed.
    """
    rows = [
        {"gpu_uuid": uuid, "job_id": job.id, "attempt": job.attempt, "worker_id": job.worker_id, "claimed_at": now}
        for uuid in sorted(uuids)  # in one order everywhere: else two workers would wait for each other
    ]
    try:
        # As one statement: several are sent as a pipeline, which complains in the log where one fails.
        session.execute(insert(GPUClaim).values(rows))
    except IntegrityError as error:
        raise GPUTaken from error


def release(session: Session, job: Job) -> None:
    """The job holds none any more."""
    session.execute(delete(GPUClaim).where(GPUClaim.job_id == job.id))


def held_by_workers(session: Session) -> Mapping[str, list[str]]:
    """By worker, the GPUs that its jobs hold."""
    held = defaultdict(list)
    for worker_id, uuid in session.execute(select(GPUClaim.worker_id, GPUClaim.gpu_uuid).order_by(GPUClaim.gpu_uuid)):
        held[worker_id].append(uuid)
    return held


def _held_of(session: Session, uuids: Iterable[str]) -> set[str]:
    return set(session.scalars(select(GPUClaim.gpu_uuid).where(GPUClaim.gpu_uuid.in_(list(uuids)))))
