"""Whether a job has reached a limit of the service."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.weights import LAST_WITH_OPTIMIZER
from service.job_limits import JobLimits
from service.models import Checkpoint, Job

ALWAYS_KEPT: Final = ("best", "last", LAST_WITH_OPTIMIZER)
"""The checkpoints that the service names."""


class LimitReached(Exception):
    """A job has reached a limit of the service. The message is a sentence for people."""


def check_checkpoints(session: Session, job: Job, limits: JobLimits) -> None:
    """Check the checkpoints of a job, the newest one included.

    Raises:
        LimitReached: they are too many, or too large.
    """
    names = select(func.count()).where(Checkpoint.job_id == job.id, Checkpoint.name.not_in(ALWAYS_KEPT))
    if (session.scalar(names) or 0) > limits.checkpoints:
        raise LimitReached(
            f"The job has {limits.checkpoints:,} checkpoints, which is as many as this service keeps of a job "
            "(FITQUEUE_MAX_CHECKPOINTS); another one was not stored."
        )
    files = select(Checkpoint.storage_key, Checkpoint.size).where(Checkpoint.job_id == job.id).distinct().subquery()
    size = int(session.scalar(select(func.sum(files.c.size))) or 0)
    if size > limits.checkpoint_bytes:
        raise LimitReached(
            f"The checkpoints of the job would take {size:,} bytes, and this service keeps {limits.checkpoint_bytes:,} "
            "of a job (FITQUEUE_MAX_CHECKPOINT_BYTES); the newest one was not stored."
        )
