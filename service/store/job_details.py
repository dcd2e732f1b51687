"""Jobs as the API answers them, with what is worked out from their epochs and their queue."""

import math
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.advice import Language
from fitqueue.diagnosis import diagnose
from fitqueue.states import JobState
from fitqueue.views import Best, JobSummary, JobView, Progress, QueuePosition
from service.models import Epoch, Job
from service.store import metrics
from service.store.queue_position import places

RECENT_EPOCHS: Final = 3
"""The time that is left is told from this many epochs: the first one is often slow and should be forgotten."""


def summaries(session: Session, jobs: Sequence[Job], lease_seconds: float) -> list[JobSummary]:
    return [JobSummary(**fields) for fields in _all_fields(session, jobs, lease_seconds)]


def view(session: Session, job: Job, lease_seconds: float, language: Language = "en") -> JobView:
    [fields] = _all_fields(session, [job], lease_seconds)
    history = metrics.losses(session, job.id)
    diagnosis = diagnose(history, language) if history else None
    return JobView(**fields, spec=job.spec, notices=job.notices, model=job.model_summary, diagnosis=diagnosis)


def progress(job: Job, seconds_an_epoch: float | None) -> Progress:
    """`seconds_an_epoch` is None where none has ended yet: then nobody knows how long it takes."""
    in_epoch = job.step / job.steps if job.steps else 0.0
    done = max(job.epoch - 1 + in_epoch, 0.0)
    running = job.state is JobState.RUNNING
    return Progress(
        epoch=job.epoch,
        epochs=job.epochs,
        step=job.step,
        steps=job.steps,
        percent=100.0 if job.state is JobState.SUCCEEDED else round(100 * done / job.epochs, 2),
        eta_seconds=round((job.epochs - done) * seconds_an_epoch, 1) if running and seconds_an_epoch else None,
    )


def _all_fields(session: Session, jobs: Sequence[Job], lease_seconds: float) -> list[dict[str, Any]]:
    queue = places(session, jobs, lease_seconds)
    seconds = _seconds_an_epoch(session, jobs)
    return [_fields(job, seconds.get(job.id), queue.get(job.id)) for job in jobs]


def _fields(job: Job, seconds_an_epoch: float | None, queue: QueuePosition | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "message": job.message,
        "phase": job.phase,
        "progress": progress(job, seconds_an_epoch),
        "best": _best(job),
        "queue": queue,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "pool": job.pool,
        "priority": job.priority,
        "labels": job.spec.get("labels") or {},
        "worker": job.worker_id,
        "cancel_requested_at": job.cancel_requested_at,
        "pause_requested_at": job.pause_requested_at,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _best(job: Job) -> Best | None:
    if job.best_epoch is None:
        return None
    value = job.best_value if job.best_value is not None and math.isfinite(job.best_value) else None
    return Best(epoch=job.best_epoch, monitor=job.best_monitor or "", value=value)


def _seconds_an_epoch(session: Session, jobs: Sequence[Job]) -> dict[str, float]:
    running = [job.id for job in jobs if job.state is JobState.RUNNING]
    if not running:
        return {}
    rows = session.execute(
        select(Epoch.job_id, func.avg(Epoch.seconds))
        .join(Job, Job.id == Epoch.job_id)
        .where(Epoch.job_id.in_(running), Epoch.epoch > Job.epoch - 1 - RECENT_EPOCHS)
        .group_by(Epoch.job_id)
    )
    return {row[0]: row[1] for row in rows}
