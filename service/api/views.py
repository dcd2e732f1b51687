"""How rows become the API's answers: the only place that knows both. Called outside any transaction.

These functions are pure, except that addresses begin as the client of the request sees them.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

from fitqueue.datasets import ArrayInfo, BuiltinDataset
from fitqueue.diagnosis import Diagnosis
from fitqueue.non_finite import word_of
from fitqueue.states import JobState
from fitqueue.views import (
    ArrayView,
    ArtifactView,
    Best,
    CheckpointView,
    ComparedJob,
    DatasetPreview,
    DatasetView,
    EpochView,
    EventView,
    GPUUse,
    JobSummary,
    JobUsage,
    JobView,
    LeftOutArray,
    LogLine,
    OwnerUsage,
    Progress,
    QueuedJob,
    RemovedView,
    StoredBytes,
    Use,
    WorkerView,
)
from fitqueue.weights import LAST_WITH_OPTIMIZER
from service import models
from service.api.addresses import address_of
from service.api.job_fields import only
from service.forecast.estimate import Estimate
from service.npz import Rows
from service.store import datasets, step_metrics, usage
from service.store.compared_jobs import Trained
from service.store.dataset_details import DatasetDetails
from service.store.job_details import JobDetails
from service.store.metrics import EpochRow
from service.store.owner_usage import OwnerUse
from service.store.step_metrics import StepRow
from service.store.waiting_jobs import WaitingJob
from service.store.workers import WorkerDetails

OWN_CHECKPOINTS: Final = frozenset({"best", "last", LAST_WITH_OPTIMIZER})
"""The checkpoints that the service names."""


_PIXELS: Final = range(8, 513)
"""The heights and widths of an image."""


def job_summary(details: JobDetails) -> JobSummary:
    return JobSummary(**_job_fields(details))


def job_fields(details: JobDetails, diagnosis: Diagnosis | None, fields: Collection[str]) -> dict[str, Any]:
    """Return some fields of a job. Columns of its row that these do not need may be missing."""
    job = details.job
    large = {"spec": "spec", "notices": "notices", "model": "model_summary"}
    others = {name: getattr(job, column) for name, column in large.items() if name in fields}
    return only({**_job_fields(details), **others, "diagnosis": diagnosis, "removed": _removed(job)}, fields)


def job_view(details: JobDetails, diagnosis: Diagnosis | None) -> JobView:
    job = details.job
    return JobView(
        **_job_fields(details),
        spec=job.spec,
        notices=job.notices,
        model=job.model_summary,
        diagnosis=diagnosis,
        removed=_removed(job),
    )


def _removed(job: models.Job) -> list[RemovedView]:
    return [RemovedView(what=what, **entry) for what, entry in job.removed.items()]


def _job_fields(details: JobDetails) -> dict[str, Any]:
    job = details.job
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "message": job.message,
        "phase": job.phase,
        "progress": progress(job, details.left),
        "best": _best(job),
        "queue": details.queue,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "pool": job.pool,
        "priority": job.priority,
        "preemptible": job.preemptible,
        "labels": details.labels,
        "keep": job.keep,
        **details.ownership._asdict(),
        "worker": job.worker_id,
        "cancel_requested_at": job.cancel_requested_at,
        "pause_requested_at": job.pause_requested_at,
        "preempt_requested_at": job.preempt_requested_at,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "finishes_at": details.finishes_at,
        "may_finish_earlier": details.left is not None and details.left.is_upper_bound,
    }


def progress(job: models.Job, left: Estimate | None) -> Progress:
    """Return a job's progress.

    Args:
        job: its row.
        left: how long it takes until it has ended; None if nobody knows.
    """
    in_epoch = job.step / job.steps if job.steps else 0.0
    done = max(job.epoch - 1 + in_epoch, 0.0)
    return Progress(
        epoch=job.epoch,
        epochs=job.epochs,
        step=job.step,
        steps=job.steps,
        percent=100.0 if job.state is JobState.SUCCEEDED else round(100 * done / job.epochs, 2),
        eta_seconds=round(left.seconds, 1) if left is not None and job.state is JobState.RUNNING else None,
        metrics=_finite_values(step_metrics.from_json(job.running_metrics)),
    )


def _best(job: models.Job) -> Best | None:
    if job.best_epoch is None:
        return None
    return Best(epoch=job.best_epoch, monitor=job.best_monitor or "", value=_finite(job.best_value))


def job_usage(job: models.Job, now: datetime, stored: usage.StoredBytes) -> JobUsage:
    sizes = asdict(stored)
    return JobUsage(
        attempt=job.attempt,
        last_attempt=_use(usage.of_attempt(job, now)),
        all_attempts=_use(usage.of_all_attempts(job, now)),
        stored_bytes=StoredBytes(**sizes, total=sum(sizes.values())),
    )


def owner_usage_view(use: OwnerUse) -> OwnerUsage:
    return OwnerUsage(
        name=use.name,
        gpu_seconds=round(use.gpu_seconds, 3),
        cpu_seconds=round(use.cpu_seconds, 3),
        stored_bytes=use.stored_bytes,
        jobs=use.jobs,
    )


def _use(use: usage.Use) -> Use:
    return Use(
        seconds=round(use.seconds, 3),
        gpu_seconds=round(use.gpu_seconds, 3),
        cpu_seconds=round(use.measured.cpu_seconds, 3),
        peak_memory_bytes=use.measured.peak_memory_bytes or None,
        peak_gpu_memory_bytes=use.measured.peak_gpu_memory_bytes or None,
    )


def compared_job(job: models.Job, trained: Trained | None) -> ComparedJob:
    return ComparedJob(
        id=job.id,
        name=job.name,
        state=job.state,
        best=_best(job),
        last=EpochView(**epoch_fields(trained.last)) if trained else None,
        epochs_trained=trained.last.epoch if trained else 0,
        seconds=round(trained.seconds, 3) if trained else 0.0,
    )


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
        href=address_of(f"/jobs/{row.job_id}/{path}"),
    )


def artifact_view(row: models.Artifact) -> ArtifactView:
    return ArtifactView(
        name=row.name,
        size=row.size,
        sha256=row.sha256,
        created_at=row.created_at,
        href=address_of(f"/jobs/{row.job_id}/artifacts/{quote(row.name, safe='')}"),
    )


def queued_job(waiting: WaitingJob) -> QueuedJob:
    job, starts, ends = waiting.job, waiting.forecast.starts, waiting.forecast.ends
    return QueuedJob(
        id=job.id,
        name=job.name,
        pool=job.pool,
        priority=job.priority,
        preemptible=job.preemptible,
        gpus=job.gpus,
        labels=dict(waiting.labels),
        **waiting.ownership._asdict(),
        position=waiting.position,
        waiting_for=waiting.waiting_for,
        created_at=job.created_at,
        queued_since=waiting.since,
        ahead=waiting.forecast.ahead,
        starts_in_seconds=None if starts is None else round(starts.seconds, 1),
        may_start_earlier=starts is not None and starts.is_upper_bound,
        finishes_at=waiting.finishes_at,
        may_finish_earlier=ends is not None and ends.is_upper_bound,
    )


def dataset_view(details: DatasetDetails) -> DatasetView:
    row = details.dataset
    return DatasetView(
        id=row.id,
        name=row.plain_name,
        builtin=False,
        arrays=[_array_view(name, array) for name, array in datasets.info(row).arrays.items()],
        left_out=[LeftOutArray.model_validate(array) for array in row.left_out],
        size=row.size,
        sha256=row.sha256,
        source=None,
        created_at=row.created_at,
        **details.ownership._asdict(),
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


def preview_view(name: str, first: int, rows: Rows) -> DatasetPreview:
    return DatasetPreview(
        name=name,
        shape=list(rows.shape),
        dtype=rows.dtype,
        looks_like=_looks_like(rows.shape),
        first=first,
        rows=rows.rows,
        non_finite_values=rows.non_finite,
        truncated=rows.is_cut,
    )


def _looks_like(shape: Sequence[int]) -> Literal["image", "table", "sequence", "scalar"]:
    match tuple(shape[1:]):
        case () | (1,):
            return "scalar"
        case (_,):
            return "table"
        case (height, width) | (height, width, 1 | 3 | 4) if height in _PIXELS and width in _PIXELS:
            return "image"
    return "sequence"


def worker_view(details: WorkerDetails, hidden: Collection[str] = ()) -> WorkerView:
    """Return a worker without its hidden jobs: those that the reader may not see."""
    row = details.worker
    return WorkerView(
        id=row.id,
        host=row.host,
        pools=row.pools,
        slots=row.slots,
        devices=row.devices,
        gpus=row.gpu_uuids,
        gpus_held=list(details.gpus_held),
        gpus_held_by={gpu: job for gpu, job in details.gpus_held_by.items() if job not in hidden},
        gpu_use=[GPUUse.model_validate(gpu) for gpu in row.gpu_use],
        versions=row.versions,
        memory_bytes=row.memory_bytes,
        jobs=[job for job in details.jobs if job not in hidden],
        alive=details.is_alive,
        draining_since=row.draining_since,
        drains_until=row.drains_until,
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
