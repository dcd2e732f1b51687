"""What is read of jobs that are compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from service.models import Epoch, Job
from service.store import metrics
from service.store.access import EVERYTHING, Viewer
from service.store.metrics import EpochRow


class Trained(NamedTuple):
    """What a job has trained: its last epoch that has ended, and how long all of them took."""

    last: EpochRow
    seconds: float


def with_specs(session: Session, ids: Sequence[str], viewer: Viewer = EVERYTHING) -> list[Job]:
    """Return the jobs with these ids that the viewer may see, in their order. The others are left out."""
    is_visible = viewer.condition(Job)
    query = select(Job).where(Job.id.in_(ids), Job.deleted_at.is_(None), *is_visible).options(undefer(Job.spec))
    found = {job.id: job for job in session.scalars(query)}
    return [found[id] for id in ids if id in found]


def trained(session: Session, ids: Sequence[str]) -> Mapping[str, Trained]:
    """Return, for each job that has trained an epoch, what it has trained."""
    rows = session.execute(
        select(Epoch.job_id, func.max(Epoch.epoch), func.sum(Epoch.seconds))
        .where(Epoch.job_id.in_(ids))
        .group_by(Epoch.job_id)
    )
    return {id: Trained(metrics.list_after(session, id, epoch - 1, 1)[0], seconds) for id, epoch, seconds in rows.all()}
