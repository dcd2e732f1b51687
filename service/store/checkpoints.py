"""The weights that can be fetched."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import case, func, select, tuple_
from sqlalchemy.orm import Session

from fitqueue.errors import CheckpointNotFound, Expired, NoCheckpointYet
from fitqueue.retention import Removable
from fitqueue.weights import LAST_WITH_OPTIMIZER
from service.models import Checkpoint, Job
from service.store import jobs, retention
from service.store.limits import ALWAYS_KEPT

Cursor = tuple[int, int, int, str]
"""Where a checkpoint stands in the list: `best`, `last`, and the others by epoch, batch and name."""

_MAX_NAMES: Final = 100

_OWN: Final = {"best": 0, "last": 1, LAST_WITH_OPTIMIZER: 1}
"""Where the checkpoints stand that the service names. Of one place, the shorter name comes first."""

_CURSOR: Final = (
    case(*((Checkpoint.name == name, place) for name, place in _OWN.items()), else_=2),
    Checkpoint.epoch,
    func.coalesce(Checkpoint.batch, -1),
    Checkpoint.name,
)


def cursor(row: Checkpoint) -> Cursor:
    """Return where a checkpoint stands in the list."""
    return (
        _OWN.get(row.name, 2),
        row.epoch,
        -1 if row.batch is None else row.batch,
        row.name,
    )


def list_page(session: Session, job_id: str, after: Cursor | None, limit: int) -> Sequence[Checkpoint]:
    """Return the job's checkpoints: `best` and `last`, then the others in the order in which they were trained.

    Args:
        after: only those behind the one with this cursor.

    Raises:
        JobNotFound: there is no such job.
    """
    jobs.get(session, job_id)
    query = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(*_CURSOR).limit(limit)
    return session.scalars(query if after is None else query.where(tuple_(*_CURSOR) > tuple_(*after))).all()


def lock(session: Session, job_id: str, name: str) -> None:
    """Keep a checkpoint from being removed until this transaction ends.

    Raises:
        JobNotFound, NoCheckpointYet, CheckpointNotFound, Expired: as `get`.
    """
    session.execute(select(Job.id).where(Job.id == job_id).with_for_update(read=True))
    get(session, job_id, name)


def names(session: Session, job_id: str) -> list[str]:
    """Return the names of some of a job's checkpoints, in their order."""
    query = select(Checkpoint.name).where(Checkpoint.job_id == job_id).order_by(*_CURSOR).limit(_MAX_NAMES)
    return list(session.scalars(query))


def newest_key(session: Session) -> str | None:
    """Return the storage key of a checkpoint of the newest job that has one."""
    return session.scalar(select(Checkpoint.storage_key).order_by(Checkpoint.job_id.desc(), Checkpoint.name).limit(1))


def get(session: Session, job_id: str, name: str) -> Checkpoint:
    """Return a checkpoint by its name.

    Raises:
        JobNotFound: there is no such job.
        NoCheckpointYet: the job has not saved anything.
        CheckpointNotFound: the job has other checkpoints.
        Expired: the retention of its project has removed it.
    """
    job = jobs.get(session, job_id)
    checkpoint = session.get(Checkpoint, (job_id, name), populate_existing=True)
    if checkpoint is not None:
        return checkpoint
    kinds = (Removable.CHECKPOINTS,) if name in ALWAYS_KEPT else (Removable.CHECKPOINTS, Removable.OTHER_CHECKPOINTS)
    if (why := retention.why_removed(job, *kinds)) is not None:
        raise Expired(f"The job {job_id} has no checkpoint '{name}'. {why}")
    if session.scalar(select(Checkpoint.name).where(Checkpoint.job_id == job_id).limit(1)) is None:
        raise NoCheckpointYet()
    if name == LAST_WITH_OPTIMIZER:
        message = "has not saved its optimizer; a job with `save_optimizer` does when its training ends"
        raise CheckpointNotFound(f"The job {job_id} {message}.")
    raise CheckpointNotFound(f"The job {job_id} has no checkpoint '{name}'.")
