"""The weights that can be fetched."""

from collections.abc import Sequence

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from fitqueue.errors import CheckpointNotFound, NoCheckpointYet
from service.models import Checkpoint
from service.store import jobs


def list_all(session: Session, job_id: str) -> Sequence[Checkpoint]:
    """Return the job's checkpoints: `best` and `last`, then the others in the order in which they were trained.

    Raises:
        JobNotFound: there is no such job.
    """
    jobs.get(session, job_id)
    best_and_last_first = case((Checkpoint.name == "best", 0), (Checkpoint.name == "last", 1), else_=2)
    return session.scalars(
        select(Checkpoint)
        .where(Checkpoint.job_id == job_id)
        .order_by(best_and_last_first, Checkpoint.epoch, Checkpoint.batch, Checkpoint.name)
    ).all()


def newest_key(session: Session) -> str | None:
    """Return the storage key of a checkpoint of the newest job that has one."""
    return session.scalar(select(Checkpoint.storage_key).order_by(Checkpoint.job_id.desc(), Checkpoint.name).limit(1))


def get(session: Session, job_id: str, name: str) -> Checkpoint:
    """Return a checkpoint by its name.

    Raises:
        JobNotFound: there is no such job.
        NoCheckpointYet: the job has not saved anything.
        CheckpointNotFound: the job has other checkpoints.
    """
    jobs.get(session, job_id)
    checkpoint = session.get(Checkpoint, (job_id, name), populate_existing=True)
    if checkpoint is not None:
        return checkpoint
    if session.scalar(select(Checkpoint.name).where(Checkpoint.job_id == job_id).limit(1)) is None:
        raise NoCheckpointYet()
    raise CheckpointNotFound(f"The job {job_id} has no checkpoint '{name}'.")
