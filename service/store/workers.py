"""The registered workers: which are alive, what they have, what they run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, delete, select, update
from sqlalchemy.orm import Session

from fitqueue.errors import WorkerNotFound
from fitqueue.states import JobState
from service import clock
from service.models import GPUClaim, Job, Worker
from service.store.access import Viewer
from service.store.gpus import MeasuredGPU, claims, foreign

FORGOTTEN_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True)
class LiveWorker:
    """What matters of a live worker to a queued job."""

    pools: frozenset[str]
    gpus: frozenset[str]
    slots: int
    id: str = ""
    is_draining: bool = False
    foreign_gpus: frozenset[str] = frozenset()
    """Those that a program outside FitQueue used at the last heartbeat."""


@dataclass(frozen=True)
class WorkerDetails:
    """A worker with the jobs that it runs and the GPUs that they hold.

    `gpus_held_by` has the job that holds a GPU, by UUID: those of its own jobs, and of other workers that see the GPU.
    """

    worker: Worker
    jobs: Sequence[str]
    gpus_held: Sequence[str]
    gpus_held_by: Mapping[str, str]
    is_alive: bool


def register(
    session: Session,
    worker_id: str,
    *,
    host: str,
    pools: Sequence[str],
    slots: int,
    devices: Sequence[str],
    gpus: Sequence[str],
    memory_bytes: int | None = None,
    gpu_use: Sequence[MeasuredGPU] = (),
    versions: Mapping[str, str] | None = None,
) -> None:
    """Register a worker that has started.

    Args:
        devices: names for people.
        gpus: the UUIDs of the GPUs that jobs can ask for.
        memory_bytes: what a job may take of the machine's memory.
        gpu_use: how much of each GPU is used, as it was measured just now.
        versions: the versions of its programs, by name.
    """
    now = clock.now(session)
    session.execute(delete(Worker).where(Worker.last_seen_at < now - FORGOTTEN_AFTER))
    session.merge(
        Worker(
            id=worker_id,
            host=host,
            pools=list(pools),
            slots=slots,
            devices=list(devices),
            gpu_uuids=list(gpus),
            memory_bytes=memory_bytes,
            gpu_use=_gpu_use(session, gpu_use, now),
            versions=dict(versions or {}),
            started_at=now,
            last_seen_at=now,
            stopped_at=None,
        )
    )
    session.flush()


def heartbeat(
    session: Session,
    worker_id: str,
    *,
    devices: Sequence[str],
    gpus: Sequence[str],
    memory_bytes: int | None = None,
    gpu_use: Sequence[MeasuredGPU] = (),
) -> bool:
    """Record that the worker is alive, with the devices that it has now; False if it must register again."""
    now = clock.now(session)
    row = session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(
            last_seen_at=now,
            stopped_at=None,
            devices=list(devices),
            gpu_uuids=list(gpus),
            memory_bytes=memory_bytes,
            gpu_use=_gpu_use(session, gpu_use, now),
        )
        .returning(Worker.id)
    ).one_or_none()
    return row is not None


def _gpu_use(session: Session, gpus: Sequence[MeasuredGPU], now: datetime) -> list[dict[str, Any]]:
    """Return the column `gpu_use`. The time is the database's, as all others are: the clocks of machines differ."""
    used = foreign(session, gpus)
    return [{**asdict(gpu), "measured_at": now.isoformat(), "is_foreign": gpu.uuid in used} for gpu in gpus]


def sign_off(session: Session, worker_id: str) -> None:
    """Record that the worker has shut down."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=clock.now(session)))


def drain(session: Session, worker_id: str, timeout_seconds: float | None = None) -> None:
    """Let the worker claim no more jobs, and requeue those that it still trains after some seconds.

    Drained again, a worker gets the new time, or none.

    Args:
        timeout_seconds: None: it trains its jobs to their end.

    Raises:
        WorkerNotFound: there is no such worker, or it has stopped.
    """
    worker = _running(session, worker_id)
    now = clock.now(session)
    worker.draining_since = worker.draining_since or now
    worker.drains_until = None if timeout_seconds is None else now + timedelta(seconds=timeout_seconds)


def end_drain(session: Session, worker_id: str) -> bool:
    """Let the worker claim jobs again; return whether it was draining.

    Raises:
        WorkerNotFound: there is no such worker, or it has stopped.
    """
    worker = _running(session, worker_id)
    was_draining = worker.draining_since is not None
    worker.draining_since = worker.drains_until = None
    return was_draining


def is_draining(session: Session, worker_id: str) -> bool:
    return session.scalar(select(Worker.draining_since).where(Worker.id == worker_id)) is not None


def may_claim(session: Session, worker_id: str) -> bool:
    """Tell whether a worker is not draining, and lock that until the end of the transaction.

    A claim that has asked is committed before a drain is, and one that asks later sees the drain: no job comes to a
    worker after somebody was told that it drains.
    """
    query = select(Worker.draining_since).where(Worker.id == worker_id).with_for_update(read=True)
    return session.scalar(query) is None


def is_drain_over(worker_id: str, now: datetime) -> ScalarSelect[bool | None]:
    """Select whether the time has come at which a draining worker requeues its jobs."""
    return select(Worker.drains_until <= now).where(Worker.id == worker_id).scalar_subquery()


def _running(session: Session, worker_id: str) -> Worker:
    worker = session.get(Worker, worker_id, with_for_update=True, populate_existing=True)
    if worker is None or worker.stopped_at is not None:
        stopped = "has stopped" if worker is not None else "is not known"
        raise WorkerNotFound(f"The worker '{worker_id}' {stopped}.")
    return worker


def get(session: Session, worker_id: str, lease_seconds: float) -> WorkerDetails:
    """Return one worker.

    Raises:
        WorkerNotFound: there is no such worker.
    """
    for details in list_all(session, lease_seconds):
        if details.worker.id == worker_id:
            return details
    raise WorkerNotFound(f"The worker '{worker_id}' is not known.")


def list_all(session: Session, lease_seconds: float) -> list[WorkerDetails]:
    """Return the workers of the last day, newest first. One is alive if it was seen within the time of a lease."""
    alive_since = _alive_since(session, lease_seconds)
    jobs = defaultdict(list)
    for worker_id, job_id in session.execute(
        select(Job.worker_id, Job.id).where(Job.state == JobState.RUNNING).order_by(Job.id)
    ):
        jobs[worker_id].append(job_id)
    held = claims(session)
    return [
        WorkerDetails(
            worker=row,
            jobs=jobs[row.id],
            gpus_held=[claim.gpu_uuid for claim in held if claim.worker_id == row.id],
            gpus_held_by=_holders(row, held),
            is_alive=row.stopped_at is None and row.last_seen_at >= alive_since,
        )
        for row in session.scalars(select(Worker).order_by(Worker.started_at.desc(), Worker.id))
    ]


def hidden_jobs(session: Session, details: Sequence[WorkerDetails], viewer: Viewer) -> frozenset[str]:
    """Return the ids of the jobs of these workers that the viewer may not see."""
    ids = {id for worker in details for id in (*worker.jobs, *worker.gpus_held_by.values())}
    if not viewer.hidden or not ids:
        return frozenset()
    return frozenset(ids - set(session.scalars(select(Job.id).where(Job.id.in_(ids), *viewer.condition(Job)))))


def _holders(worker: Worker, held: Sequence[GPUClaim]) -> dict[str, str]:
    """Return which job holds each GPU that this worker sees, or that a job of its own holds."""
    visible = set(worker.gpu_uuids)
    return {claim.gpu_uuid: claim.job_id for claim in held if claim.gpu_uuid in visible or claim.worker_id == worker.id}


def list_alive(session: Session, lease_seconds: float) -> list[LiveWorker]:
    rows = session.execute(
        select(Worker.pools, Worker.gpu_uuids, Worker.slots, Worker.id, Worker.draining_since, Worker.gpu_use).where(
            *_are_alive(session, lease_seconds)
        )
    )
    return [
        LiveWorker(frozenset(pools), frozenset(uuids), slots, id, since is not None, _foreign(use))
        for pools, uuids, slots, id, since, use in rows
    ]


def _foreign(gpu_use: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(gpu["uuid"] for gpu in gpu_use if gpu.get("is_foreign"))


def most_memory(session: Session, lease_seconds: float, pool: str) -> int | None:
    """Return what a job may take at most on a live worker of a pool, in bytes; None if no such worker tells it."""
    rows = session.execute(select(Worker.pools, Worker.memory_bytes).where(*_are_alive(session, lease_seconds)))
    of_pool = [memory for pools, memory in rows if pool in pools]
    known = [memory for memory in of_pool if memory is not None]
    # A worker of an older version does not tell, and may have more.
    return max(known) if known and len(known) == len(of_pool) else None


def _are_alive(session: Session, lease_seconds: float) -> tuple[ColumnElement[bool], ...]:
    return Worker.stopped_at.is_(None), Worker.last_seen_at >= _alive_since(session, lease_seconds)


def _alive_since(session: Session, lease_seconds: float) -> datetime:
    return clock.now(session) - timedelta(seconds=lease_seconds)
