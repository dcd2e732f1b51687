"""What the API shows of a job beyond its row: its queue position, its pace, its labels and who submitted it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import String, bindparam, func, select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from fitqueue.views import QueuePosition
from service.models import Epoch, Job, JobLabel
from service.store import queue_position, tokens

RECENT_EPOCHS: Final = 3
"""The remaining time is estimated from this many epochs. The first one is often slow and should be forgotten."""

# Each open page of a job needs these statements once a second, and it takes longer to build than to run them.
_IDS: Final = bindparam("ids", expanding=True, type_=String)
_LABELS: Final = (
    select(JobLabel.job_id, JobLabel.key, JobLabel.value).where(JobLabel.job_id.in_(_IDS)).order_by(JobLabel.key)
)
_SECONDS_PER_EPOCH: Final = (
    select(Epoch.job_id, func.avg(Epoch.seconds))
    .join(Job, Job.id == Epoch.job_id)
    .where(Epoch.job_id.in_(_IDS), Epoch.epoch > Job.epoch - 1 - RECENT_EPOCHS)
    .group_by(Epoch.job_id)
)


@dataclass(frozen=True)
class JobDetails:
    job: Job
    queue: QueuePosition | None
    """None unless the job is queued."""
    seconds_per_epoch: float | None
    """None unless the job is running and an epoch has ended."""
    labels: Mapping[str, str]
    submitted_by: str | None
    """The name of the token that it was submitted with."""


def read(session: Session, job: Job, lease_seconds: float) -> JobDetails:
    [details] = read_all(session, [job], lease_seconds)
    return details


def read_all(session: Session, jobs: Sequence[Job], lease_seconds: float) -> list[JobDetails]:
    positions = queue_position.read(session, jobs, lease_seconds)
    seconds = _seconds_per_epoch(session, jobs)
    labels = labels_of(session, jobs)
    names = tokens.names_of(session, {job.token_id for job in jobs})
    return [
        JobDetails(
            job=job,
            queue=positions.get(job.id),
            seconds_per_epoch=seconds.get(job.id),
            labels=labels.get(job.id, {}),
            submitted_by=names.get(job.token_id),
        )
        for job in jobs
    ]


def labels_of(session: Session, jobs: Sequence[Job]) -> dict[str, dict[str, str]]:
    """Return the labels of jobs by job id."""
    labels: dict[str, dict[str, str]] = {}
    for job_id, key, value in session.execute(_LABELS, {"ids": [job.id for job in jobs]}):
        labels.setdefault(job_id, {})[key] = value
    return labels


def _seconds_per_epoch(session: Session, jobs: Sequence[Job]) -> dict[str, float]:
    running = [job.id for job in jobs if job.state is JobState.RUNNING]
    if not running:
        return {}
    rows = session.execute(_SECONDS_PER_EPOCH, {"ids": running})
    return {row[0]: row[1] for row in rows}  # not `dict(rows)`: a result has `keys`, so it would pass for a mapping
