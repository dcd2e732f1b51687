"""The workers that registered: who is alive, what it has, what it runs."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from fitqueue.views import WorkerView
from service import clock
from service.models import Job, Worker
from service.store.gpus import held_by_workers

FORGOTTEN_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True)
class LiveWorker:
    """What a waiting job needs to know of a worker."""

    pools: frozenset[str]
    gpus: frozenset[str]
    slots: int


def register(
    session: Session,
    worker_id: str,
    *,
    host: str,
    pools: Sequence[str],
    slots: int,
    devices: Sequence[str],
    gpus: Sequence[str],
) -> None:
    """A worker came to life. `devices` are for people; `gpus` are the UUIDs of those that a job can ask for."""
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
            started_at=now,
            last_seen_at=now,
            stopped_at=None,
        )
    )
    session.flush()


def heartbeat(session: Session, worker_id: str, *, devices: Sequence[str], gpus: Sequence[str]) -> bool:
    """False where the worker is not known, and should register again. As in `register`, since devices come and go."""
    seen = session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(
            last_seen_at=clock.now(session),
            stopped_at=None,
            devices=list(devices),
            gpu_uuids=list(gpus),
        )
        .returning(Worker.id)
    ).one_or_none()
    return seen is not None


def stop(session: Session, worker_id: str) -> None:
    """The worker says goodbye."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=clock.now(session)))


def list_all(session: Session, lease_seconds: float) -> list[WorkerView]:
    """The workers of the last day, the newest first. One is alive that was seen within the time of a lease."""
    alive_since = _alive_since(session, lease_seconds)
    jobs = defaultdict(list)
    for worker_id, job_id in session.execute(
        select(Job.worker_id, Job.id).where(Job.state == JobState.RUNNING).order_by(Job.id)
    ):
        jobs[worker_id].append(job_id)
    held = held_by_workers(session)
    return [
        WorkerView(
            id=row.id,
            host=row.host,
            pools=row.pools,
            slots=row.slots,
            devices=row.devices,
            gpus=row.gpu_uuids,
            gpus_held=held.get(row.id, []),
            jobs=jobs[row.id],
            alive=row.stopped_at is None and row.last_seen_at >= alive_since,
            started_at=row.started_at,
            last_seen_at=row.last_seen_at,
        )
        for row in session.scalars(select(Worker).order_by(Worker.started_at.desc(), Worker.id))
    ]


def list_alive(session: Session, lease_seconds: float) -> list[LiveWorker]:
    rows = session.execute(
        select(Worker.pools, Worker.gpu_uuids, Worker.slots).where(
            Worker.stopped_at.is_(None), Worker.last_seen_at >= _alive_since(session, lease_seconds)
        )
    )
    return [LiveWorker(frozenset(pools), frozenset(uuids), slots) for pools, uuids, slots in rows]


def _alive_since(session: Session, lease_seconds: float) -> datetime:
    return clock.now(session) - timedelta(seconds=lease_seconds)
