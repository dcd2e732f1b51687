"""How rows become the API's answers: the only place that knows both. Pure functions, called outside any transaction."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from fitqueue.advice import Language
from fitqueue.datasets import ArrayInfo, BuiltinDataset
from fitqueue.diagnosis import Diagnosis, Losses, diagnose
from fitqueue.non_finite import word_of
from fitqueue.spec.findings import NoticeCode
from fitqueue.states import JobState, Reason
from fitqueue.views import (
    ArrayView,
    ArtifactView,
    Best,
    CheckpointView,
    DatasetView,
    EventView,
    JobSummary,
    JobView,
    LeftOutArray,
    LogLine,
    Progress,
    WorkerView,
)
from fitqueue.weights import LAST_WITH_OPTIMIZER
from service import models
from service.api import PREFIX
from service.store import datasets, step_metrics
from service.store.job_details import JobDetails
from service.store.metrics import EpochRow
from service.store.step_metrics import StepRow
from service.store.workers import WorkerDetails

OWN_CHECKPOINTS: Final = frozenset({"best", "last", LAST_WITH_OPTIMIZER})
"""The checkpoints that the service names."""


def job_summary(details: JobDetails) -> JobSummary:
    return JobSummary(**_job_fields(details))


def job_view(details: JobDetails, diagnosis: Diagnosis | None) -> JobView:
    job = details.job
    return JobView(
        **_job_fields(details),
        spec=job.spec,
        notices=job.notices,
        model=job.model_summary,
        diagnosis=diagnosis,
    )


def job_diagnosis(job: models.Job, losses: Sequence[Losses], language: Language, rate_share: float) -> Diagnosis | None:
    """Return what the losses say about the training; None before the first epoch has ended."""
    if not losses:
        return None
    is_finite = losses[-1].are_finite and job.reason is not Reason.NAN_WEIGHTS
    # Only they need the notices, which would take a statement more to read.
    notices = [] if is_finite else job.notices
    return diagnose(
        losses,
        language,
        early_stopped=job.reason is Reason.EARLY_STOPPED,
        rate_share=rate_share,
        nan_weights=job.reason is Reason.NAN_WEIGHTS,
        non_finite_data=[notice["message"] for notice in notices if notice["code"] == NoticeCode.NON_FINITE],
    )


def _job_fields(details: JobDetails) -> dict[str, Any]:
    job = details.job
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "message": job.message,
        "phase": job.phase,
        "progress": progress(job, details.seconds_per_epoch),
        "best": _best(job),
        "queue": details.queue,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "pool": job.pool,
        "priority": job.priority,
        "labels": details.labels,
        "worker": job.worker_id,
        "cancel_requested_at": job.cancel_requested_at,
        "pause_requested_at": job.pause_requested_at,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def progress(job: models.Job, seconds_per_epoch: float | None) -> Progress:
    """Return a job's progress. Without `seconds_per_epoch` nobody knows how long the rest takes."""
    in_epoch = job.step / job.steps if job.steps else 0.0
    done = max(job.epoch - 1 + in_epoch, 0.0)
    has_eta = job.state is JobState.RUNNING and seconds_per_epoch
    return Progress(
        epoch=job.epoch,
        epochs=job.epochs,
        step=job.step,
        steps=job.steps,
        percent=100.0 if job.state is JobState.SUCCEEDED else round(100 * done / job.epochs, 2),
        eta_seconds=round((job.epochs - done) * seconds_per_epoch, 1) if has_eta and seconds_per_epoch else None,
        metrics=_finite_values(step_metrics.from_json(job.running_metrics)),
    )


def _best(job: models.Job) -> Best | None:
    if job.best_epoch is None:
        return None
    return Best(epoch=job.best_epoch, monitor=job.best_monitor or "", value=_finite(job.best_value))


def epoch_fields(row: EpochRow) -> dict[str, Any]:
    """Return the fields of an EpochView. An answer has thousands, and to make models would take most of its time."""
    return {
        "epoch": row.epoch,
        **_metric_fields(row.metrics),
        "learning_rate": _finite(row.learning_rate),
        "seconds": row.seconds,
        "steps_per_second": round(row.steps_per_second, 3),
        "attempt": row.attempt,
        "finished_at": row.finished_at,
    }


def step_fields(row: StepRow) -> dict[str, Any]:
    """Return the fields of a StepView."""
    return {
        "epoch": row.epoch,
        "step": row.step,
        **_metric_fields(row.metrics),
        "attempt": row.attempt,
        "at": row.at,
    }


def _metric_fields(metrics: Mapping[str, float]) -> dict[str, Any]:
    finite = _finite_values(metrics)
    non_finite = [name for name, value in finite.items() if value is None]
    words = {name: word_of(metrics[name]) for name in non_finite}
    return {"metrics": finite, "non_finite": non_finite, "non_finite_values": words}


def event_view(row: models.Event) -> EventView:
    return EventView(id=row.id, kind=row.kind, at=row.at, attempt=row.attempt, message=row.message, data=row.data)


def log_line(row: models.LogLine) -> LogLine:
    return LogLine.model_validate(row, from_attributes=True)


def checkpoint_view(row: models.Checkpoint) -> CheckpointView:
    path = f"weights/{row.name}" if row.name in OWN_CHECKPOINTS else f"checkpoints/{quote(row.name, safe='')}"
    return CheckpointView(
        name=row.name,
        format="keras" if row.format == "keras" else "weights.h5",
        epoch=row.epoch,
        batch=row.batch,
        metrics=row.metrics,
        monitor=row.monitor,
        value=row.value,
        size=row.size,
        sha256=row.sha256,
        has_optimizer=row.has_optimizer,
        created_at=row.created_at,
        href=f"{PREFIX}/jobs/{row.job_id}/{path}",
    )


def artifact_view(row: models.Artifact) -> ArtifactView:
    return ArtifactView(
        name=row.name,
        size=row.size,
        sha256=row.sha256,
        created_at=row.created_at,
        href=f"{PREFIX}/jobs/{row.job_id}/artifacts/{quote(row.name, safe='')}",
    )


def dataset_view(row: models.Dataset) -> DatasetView:
    return DatasetView(
        id=row.id,
        name=row.name,
        builtin=False,
        arrays=[_array_view(name, array) for name, array in datasets.info(row).arrays.items()],
        left_out=[LeftOutArray.model_validate(array) for array in row.left_out],
        size=row.size,
        sha256=row.sha256,
        source=None,
        created_at=row.created_at,
    )


def builtin_view(dataset: BuiltinDataset) -> DatasetView:
    return DatasetView(
        id=dataset.info.name,
        name=dataset.info.name,
        builtin=True,
        arrays=[_array_view(name, array) for name, array in dataset.info.arrays.items()],
        size=dataset.path.stat().st_size if dataset.path else None,
        sha256=None,
        source=dataset.source,
        created_at=None,
    )


def worker_view(details: WorkerDetails) -> WorkerView:
    row = details.worker
    return WorkerView(
        id=row.id,
        host=row.host,
        pools=row.pools,
        slots=row.slots,
        devices=row.devices,
        gpus=row.gpu_uuids,
        gpus_held=list(details.gpus_held),
        memory_bytes=row.memory_bytes,
        jobs=list(details.jobs),
        alive=details.is_alive,
        started_at=row.started_at,
        last_seen_at=row.last_seen_at,
    )


def _array_view(name: str, array: ArrayInfo) -> ArrayView:
    view = ArrayView(name=name, shape=list(array.shape), dtype=array.dtype)
    values = array.values
    if values is None:
        return view
    return view.model_copy(
        update={
            "minimum": values.low,
            "maximum": values.high,
            "nan_count": values.nan,
            "infinite_count": values.infinite,
            "class_count": len(values.classes) if values.classes else None,
        }
    )


def _finite_values(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in metrics.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
