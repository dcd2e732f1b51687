"""What the API shows of a job beyond its row: its queue position, when it ends, its labels and who submitted it."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from fitqueue.views import QueuePosition
from service import clock
from service.forecast.estimate import Estimate
from service.forecast.pace import time_left
from service.models import Job, JobLabel
from service.store import ownership, queue_position
from service.store.forecasts import Forecaster, QueuedForecast, training_of
from service.store.ownership import NOBODY, Ownership

# Each open page of a job needs these statements once a second, and it takes longer to build than to run them.
_IDS: Final = bindparam("ids", expanding=True, type_=String)
_LABELS: Final = (
    select(JobLabel.job_id, JobLabel.key, JobLabel.value).where(JobLabel.job_id.in_(_IDS)).order_by(JobLabel.key)
)


Fields = Set[str] | None
"""The fields of a job that an answer has; None: all of them."""


@dataclass(frozen=True)
class JobDetails:
    job: Job
    queue: QueuePosition | None
    """None unless the job is queued."""
    left: Estimate | None
    """How long it takes until it has ended; None if nobody knows."""
    finishes_at: datetime | None
    labels: Mapping[str, str]
    ownership: Ownership


def read(
    session: Session, job: Job, lease_seconds: float, forecaster: Forecaster | None = None, fields: Fields = None
) -> JobDetails:
    [details] = read_all(session, [job], lease_seconds, forecaster, fields)
    return details


def read_all(
    session: Session,
    jobs: Sequence[Job],
    lease_seconds: float,
    forecaster: Forecaster | None = None,
    fields: Fields = None,
) -> list[JobDetails]:
    """Return the details of jobs; with `fields`, only those that these fields of an answer need.

    Without a forecaster, nobody knows when the queued ones start.
    """

    def needs(*names: str) -> bool:
        return fields is None or not fields.isdisjoint(names)

    needs_end = needs("progress", "finishes_at", "may_finish_earlier")
    queues = read_queue(session, jobs, lease_seconds, forecaster) if needs_end or needs("queue") else {}
    has_end = needs_end and any(job.state in {JobState.RUNNING, JobState.QUEUED} for job in jobs)
    now = clock.now(session) if has_end else None
    left = {job.id: _left(job, queues[job.id][1] if job.id in queues else None, now) for job in jobs}
    labels = labels_of(session, jobs) if needs("labels") else {}
    needs_names = needs("owner", "project", "submitted_by")
    owned = ownership.read(session, jobs) if needs_names else [NOBODY] * len(jobs)
    return [
        JobDetails(
            job=job,
            queue=queues[job.id][0] if job.id in queues else None,
            left=left[job.id],
            finishes_at=after(now, left[job.id]),
            labels=labels.get(job.id, {}),
            ownership=names,
        )
        for job, names in zip(jobs, owned, strict=True)
    ]


def labels_of(session: Session, jobs: Sequence[Job]) -> dict[str, dict[str, str]]:
    """Return the labels of jobs by job id."""
    labels: dict[str, dict[str, str]] = {}
    for job_id, key, value in session.execute(_LABELS, {"ids": [job.id for job in jobs]}):
        labels.setdefault(job_id, {})[key] = value
    return labels


def read_queue(
    session: Session, jobs: Sequence[Job], lease_seconds: float, forecaster: Forecaster | None
) -> dict[str, tuple[QueuePosition, Estimate | None]]:
    """Return the queue position of each of these jobs that is queued, and when it ends, by job id."""
    orders = forecaster.orders if forecaster is not None else None
    positions = queue_position.read(session, jobs, lease_seconds, orders)
    forecasts = forecaster.read(session, list(positions)) if forecaster is not None and positions else {}
    return {id: _with_forecast(position, forecasts.get(id)) for id, position in positions.items()}


def _with_forecast(queue: QueuePosition, forecast: QueuedForecast | None) -> tuple[QueuePosition, Estimate | None]:
    if forecast is None:
        return queue, None
    starts = forecast.starts
    changes = {
        "ahead": forecast.ahead,
        "starts_in_seconds": None if starts is None else round(starts.seconds, 1),
        "may_start_earlier": starts is not None and starts.is_upper_bound,
    }
    return queue.model_copy(update=changes), forecast.ends


def _left(job: Job, queued: Estimate | None, now: datetime | None) -> Estimate | None:
    if now is not None and job.state is JobState.RUNNING:
        return time_left(training_of(job, now))
    return queued


def after(now: datetime | None, left: Estimate | None) -> datetime | None:
    """Return when this much time will be over; None if nobody knows."""
    return None if now is None or left is None else now + timedelta(seconds=left.seconds)
