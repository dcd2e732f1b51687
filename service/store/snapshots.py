"""The snapshots from which the training of a job can resume."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fitqueue.reports import SnapshotWritten
from fitqueue.states import EventKind
from service import clock
from service.models import Job, Snapshot
from service.store import events

KEPT_WHILE_RUNNING: Final = 2
"""If the newest snapshot turns out to be damaged, the one before it is there."""


def record(session: Session, job: Job, written: SnapshotWritten, storage_key: str) -> list[str]:
    """Add a stored snapshot of a job whose row is locked, and forget those beyond the newest two.

    Returns:
        The storage keys of the forgotten ones. The caller deletes their files after the commit.
    """
    job.outages = 0
    session.add(
        Snapshot(
            storage_key=storage_key,
            job_id=job.id,
            epoch=written.position.epoch,
            step=written.position.step,
            size=written.size,
            sha256=written.sha256,
            attempt=job.attempt,
            created_at=clock.now(session),
        )
    )
    session.flush()
    return keep_newest(session, job.id, KEPT_WHILE_RUNNING)


def forget(session: Session, job: Job, snapshot: Snapshot, why: str) -> None:
    """Forget a snapshot that cannot be used, of a job whose row is locked.

    Training starts again from an earlier position, so how often it failed at a later one no longer counts.

    Args:
        why: a sentence for people.
    """
    session.execute(delete(Snapshot).where(Snapshot.storage_key == snapshot.storage_key))
    job.stalled_attempts, job.stalled_epoch, job.stalled_step = 0, None, None
    job.version += 1
    data = {"epoch": snapshot.epoch, "step": snapshot.step, "attempt": snapshot.attempt}
    events.append(session, job, EventKind.SNAPSHOT_DISCARDED, clock.now(session), why, data)


def newest_first(session: Session, job_id: str) -> Sequence[Snapshot]:
    """Return the job's snapshots, those of the latest attempt first, and of one attempt the farthest position first.

    A later attempt may be behind an earlier one, if it could not read the snapshots of that one.
    """
    return session.scalars(
        select(Snapshot)
        .where(Snapshot.job_id == job_id)
        .order_by(Snapshot.attempt.desc(), Snapshot.epoch.desc(), Snapshot.step.desc(), Snapshot.created_at.desc())
    ).all()


def keep_newest(session: Session, job_id: str, count: int) -> list[str]:
    """Forget all but the newest snapshots; return the storage keys of the others, as `record` does."""
    unreferenced = [snapshot.storage_key for snapshot in newest_first(session, job_id)[count:]]
    session.execute(delete(Snapshot).where(Snapshot.storage_key.in_(unreferenced)))
    return unreferenced
