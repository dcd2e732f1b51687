"""The snapshots from which the training of a job can go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service import clock
from service.models import Snapshot
from service.store.leases import Lease, check_held

KEPT = 2
"""While a job runs: where the newest does not read back whole, the one before does."""


@dataclass(frozen=True)
class SnapshotRecord:
    """A stored snapshot, taken after `epoch` whole epochs and `step` steps of the next."""

    storage_key: str
    epoch: int
    step: int
    size: int
    sha256: str


def record(session: Session, lease: Lease, snapshot: SnapshotRecord) -> list[str]:
    """Stores the row of a stored file; the storage keys that are of no more use, to be deleted after the commit.

    Raises:
        LeaseLost: the job is not this attempt's any more.
    """
    check_held(session, lease)
    session.add(
        Snapshot(
            storage_key=snapshot.storage_key,
            job_id=lease.job_id,
            epoch=snapshot.epoch,
            step=snapshot.step,
            size=snapshot.size,
            sha256=snapshot.sha256,
            attempt=lease.attempt,
            created_at=clock.now(session),
        )
    )
    session.flush()
    return keep_newest(session, lease.job_id, KEPT)


def forget(session: Session, lease: Lease, storage_key: str) -> None:
    """Raises LeaseLost."""
    check_held(session, lease)
    session.execute(delete(Snapshot).where(Snapshot.storage_key == storage_key))


def newest_first(session: Session, job_id: str) -> Sequence[Snapshot]:
    """The farthest first; of two of the same place the later."""
    return session.scalars(
        select(Snapshot)
        .where(Snapshot.job_id == job_id)
        .order_by(Snapshot.epoch.desc(), Snapshot.step.desc(), Snapshot.created_at.desc())
    ).all()


def keep_newest(session: Session, job_id: str, count: int) -> list[str]:
    """Forgets all but the newest; the storage keys of the others, to be deleted after the commit."""
    unreferenced = [snapshot.storage_key for snapshot in newest_first(session, job_id)[count:]]
    session.execute(delete(Snapshot).where(Snapshot.storage_key.in_(unreferenced)))
    return unreferenced
