"""The limits of this service for a job at the POST, and what it adds to a job that does not say it."""

from collections.abc import Callable

from fitqueue.datasets import DatasetInfo
from fitqueue.errors import Fault
from fitqueue.spec import JobChange, JobSpec, PartialJob
from fitqueue.spec.checks.limits import check_checkpoints, check_epochs
from fitqueue.spec.fields.data import array_refs
from fitqueue.spec.findings import Findings, NoticeCode, Pointer
from fitqueue.views import Notice
from service.settings import Settings


def limit_faults(
    job: JobSpec | PartialJob, settings: Settings, find_dataset: Callable[[str], DatasetInfo | None]
) -> list[Fault]:
    """Return where the job exceeds the limits of the service. The pointers lead into the job as it is stored."""
    findings = Findings()
    pointer = Pointer(findings)
    if job.fit is not None:
        check_epochs(job.fit, settings.max_epochs, pointer / "fit")
    # A job with a time of its own may be meant to train until then.
    if isinstance(job, JobSpec) and job.max_runtime_seconds is None:
        samples = _samples(job, find_dataset)
        check_checkpoints(job.fit, job.callbacks, samples, settings.max_checkpoints, pointer / "callbacks")
    return findings.faults


def with_default_runtime(spec: JobSpec, settings: Settings) -> tuple[JobSpec, list[Notice]]:
    """Return the job with the runtime of this service if it has none of its own, and a notice about that."""
    seconds = settings.default_max_runtime_seconds
    if seconds is None or spec.max_runtime_seconds is not None:
        return spec, []
    message = f"This service ends jobs after {seconds:,} seconds if they do not say another time."
    notice = Notice(pointer="/max_runtime_seconds", code=str(NoticeCode.FILLED_IN), message=message)
    return spec.model_copy(update={"max_runtime_seconds": seconds}), [notice]


def changed_runtime(change: JobChange, settings: Settings) -> JobChange:
    """Return a change in which the runtime of this service stands for null."""
    if "max_runtime_seconds" not in change.model_fields_set or change.max_runtime_seconds is not None:
        return change
    return change.model_copy(update={"max_runtime_seconds": settings.default_max_runtime_seconds})


def _samples(spec: JobSpec, find_dataset: Callable[[str], DatasetInfo | None]) -> int | None:
    info = find_dataset(spec.data.dataset)
    if info is None:
        return None
    shapes = [info.arrays[ref.array].shape for ref in array_refs(spec.data.x) if ref.array in info.arrays]
    return next((shape[0] for shape in shapes if shape), None)
