"""Compare what a job takes with the memory of the workers of its pool."""

from typing import Final

from fitqueue.errors import Fault
from fitqueue.spec import JobSpec
from fitqueue.spec.findings import FaultCode, NoticeCode
from fitqueue.views import MemoryEstimate, Notice
from service.api.context import Services
from service.store import workers

_GIB: Final = 1024**3
_NEARLY_ALL: Final = 0.8
"""The part of a worker's memory from which on a job gets a notice."""


def compare_with_workers(services: Services, spec: JobSpec, memory: MemoryEstimate) -> Fault | Notice | None:
    """Return what is wrong with the memory of a job; None if it fits, or if no live worker of its pool can tell."""
    pool = spec.resources.pool
    with services.database.read() as session:
        most = workers.most_memory(session, services.settings.lease_seconds, pool)
    needed = memory.on_host(has_gpus=spec.resources.gpus > 0)
    if most is None or needed <= _NEARLY_ALL * most:
        return None
    message = (
        f"The job takes about {needed / _GIB:,.1f} GiB of memory, and the largest worker of the pool {pool!r} has "
        f"{most / _GIB:,.1f} GiB for it."
    )
    if needed <= most:
        return Notice(pointer="", code=str(NoticeCode.NEARLY_TOO_LARGE), message=message)
    return Fault(
        pointer="", code=str(FaultCode.NOT_ENOUGH_MEMORY), message=message, received=needed, expected=f"at most {most}"
    )
