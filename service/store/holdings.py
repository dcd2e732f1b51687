"""What users and projects have now of what limits are about.

It is counted when somebody asks, so that it cannot differ from what there is: only what has a limit is asked for, and
each count is read from an index of what runs, of what is queued, or of the jobs of the users who are meant.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from fitqueue.limits import Holdings
from fitqueue.states import JobState
from service.models import QUEUED, Artifact, Checkpoint, Dataset, Job, Snapshot
from service.store.holders import column

Counts = Mapping[str, int]


def read(session: Session, ids: Collection[str], *, projects: bool) -> dict[str, Holdings]:
    """Return what each of these users has, or each of these projects, by its id."""
    jobs, gpus = running(session, ids, projects=projects)
    waiting, stored = queued(session, ids, projects=projects), stored_bytes(session, ids, projects=projects)
    return {
        id: Holdings(
            running_jobs=jobs.get(id, 0),
            gpus=gpus.get(id, 0),
            queued_jobs=waiting.get(id, 0),
            stored_bytes=stored.get(id, 0),
        )
        for id in ids
    }


def running(session: Session, ids: Collection[str], *, projects: bool) -> tuple[Counts, Counts]:
    """Return how many jobs of each user or project run, and how many GPUs they hold."""
    holder = column(Job, projects=projects)
    query = select(holder, func.count(), func.sum(Job.gpus)).where(Job.state == JobState.RUNNING, holder.in_(ids))
    rows = session.execute(query.group_by(holder)).all()
    return {row[0]: row[1] for row in rows}, {row[0]: int(row[2]) for row in rows}


def queued(session: Session, ids: Collection[str], *, projects: bool) -> Counts:
    """Return how many jobs of each user or project are queued."""
    holder = column(Job, projects=projects)
    query = select(holder, func.count()).where(Job.state == QUEUED, holder.in_(ids)).group_by(holder)
    return {row[0]: row[1] for row in session.execute(query)}


def stored_bytes(session: Session, ids: Collection[str], *, projects: bool) -> Counts:
    """Return how many bytes are stored for each user or project. A file with several names counts once."""
    holder = column(Job, projects=projects)
    files = select(holder.label("holder"), Checkpoint.storage_key, Checkpoint.size).join(Checkpoint)
    distinct = files.where(holder.in_(ids)).distinct().subquery()
    owner = column(Dataset, projects=projects)
    snapshots = select(holder, func.sum(Snapshot.size)).join(Snapshot).where(holder.in_(ids)).group_by(holder)
    artifacts = select(holder, func.sum(Artifact.size)).join(Artifact).where(holder.in_(ids)).group_by(holder)
    datasets = select(owner, func.sum(Dataset.size)).where(owner.in_(ids)).group_by(owner)
    checkpoints = select(distinct.c.holder, func.sum(distinct.c.size)).group_by(distinct.c.holder)
    sums: Counter[str] = Counter()
    for id, size in session.execute(union_all(checkpoints, snapshots, artifacts, datasets)):
        sums[id] += int(size)
    return sums
