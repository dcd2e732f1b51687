"""The weights that can be fetched."""

from collections.abc import Sequence

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from fitqueue.errors import CheckpointNotFound, NoCheckpointYet
from service.models import Checkpoint
from service.store import jobs


def list_all(session: Session, job_id: str) -> Sequence[Checkpoint]:
    """`best` and `last` first, then in the order in which they were trained.

    Raises:
        JobNotFound.
    """
    jobs.get(session, job_id)
    of_the_service = case((Checkpoint.name == "best", 0), (Checkpoint.name == "last", 1), else_=2)
    return session.scalars(
        select(Checkpoint)
        .where(Checkpoint.job_id == job_id)
        .order_by(of_the_service, Checkpoint.epoch, Checkpoint.batch, Checkpoint.name)
    ).all()


def newest_key(session: Session) -> str | None:
    """Of a stored file: one of the newest job that has any."""
    return session.scalar(select(Checkpoint.storage_key).order_by(Checkpoint.job_id.desc(), Checkpoint.name).limit(1))


def get(session: Session, job_id: str, name: str) -> Checkpoint:
    """Raises JobNotFound; NoCheckpointYet where the job has saved nothing at all; CheckpointNotFound."""
    jobs.get(session, job_id)
    checkpoint = session.get(Checkpoint, (job_id, name), populate_existing=True)
    if checkpoint is not None:
        return checkpoint
    if session.scalar(select(Checkpoint.name).where(Checkpoint.job_id == job_id).limit(1)) is None:
        raise NoCheckpointYet()
    raise CheckpointNotFound(f"The job {job_id} has no checkpoint '{name}'.")
