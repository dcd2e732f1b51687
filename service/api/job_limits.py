"""The limits of this service for a job at the POST, and what it adds to a job that does not say it."""

from collections.abc import Callable, Sequence

from fitqueue.datasets import DatasetInfo
from fitqueue.errors import Fault
from fitqueue.limits import smallest
from fitqueue.spec import JobSpec, PartialJob
from fitqueue.spec.checks.limits import check_checkpoints, check_epochs
from fitqueue.spec.fields.data import array_refs
from fitqueue.spec.findings import Findings, NoticeCode, Pointer
from fitqueue.views import Notice
from service.settings import Settings
from service.store.account_faults import gpu_fault, longest_runtime, time_and_priority_faults
from service.store.holders import Holder


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


def account_faults(job: JobSpec | PartialJob, limited: Sequence[Holder], max_priority: int) -> list[Fault]:
    """Return where a job has more than its owner or its project may ever have. The pointers lead into the stored job.

    Args:
        job: the job, as far as it could be read.
        limited: its owner and its project, if they have limits.
        max_priority: the highest priority that the user may give to it.
    """
    gpus = job.resources.gpus if job.resources is not None else 0
    faults = [
        gpu_fault(holder, most, gpus) for holder in limited if (most := holder.limits.gpus) is not None and gpus > most
    ]
    if isinstance(job, JobSpec):
        faults += time_and_priority_faults(job.priority, job.max_runtime_seconds, limited, max_priority)
    return faults


def with_default_runtime(spec: JobSpec, settings: Settings, limited: Sequence[Holder]) -> tuple[JobSpec, list[Notice]]:
    """Return the job with a runtime, if it has none of its own and needs one, and a notice about that.

    It gets that of this service, or the longest that its owner and its project may have, if that is less.
    """
    of_service, allowed = settings.default_max_runtime_seconds, longest_runtime(limited)
    seconds = smallest([of_service, allowed])
    if seconds is None or spec.max_runtime_seconds is not None:
        return spec, []
    if seconds == of_service:
        message = f"This service ends jobs after {seconds:,} seconds if they do not say another time."
    else:
        message = (
            f"The job is ended after {seconds:,} seconds, the longest time that its owner or its project may have."
        )
    notice = Notice(pointer="/max_runtime_seconds", code=str(NoticeCode.FILLED_IN), message=message)
    return spec.model_copy(update={"max_runtime_seconds": seconds}), [notice]


def _samples(spec: JobSpec, find_dataset: Callable[[str], DatasetInfo | None]) -> int | None:
    info = find_dataset(spec.data.dataset)
    if info is None:
        return None
    shapes = [info.arrays[ref.array].shape for ref in array_refs(spec.data.x) if ref.array in info.arrays]
    return next((shape[0] for shape in shapes if shape), None)
