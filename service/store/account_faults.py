"""What is wrong with a job, or with a change of it, that its owner or its project may not have."""

from collections.abc import Iterable

from fitqueue.errors import Fault
from fitqueue.limits import smallest
from fitqueue.spec.findings import FaultCode
from fitqueue.text import plural
from service.store.holders import Holder


def limit_fault(pointer: str, message: str, received: int | None, expected: str) -> Fault:
    code = str(FaultCode.LIMIT_EXCEEDED)
    return Fault(pointer=pointer, code=code, message=message, received=received, expected=expected)


def gpu_fault(holder: Holder, most: int, gpus: int) -> Fault:
    message = f"{holder.subject} may hold at most {plural(most, 'GPU')} at the same time."
    return limit_fault("/resources/gpus", message, gpus, f"at most {most}")


def time_and_priority_faults(
    priority: int | None, runtime: int | None, limited: Iterable[Holder], max_priority: int
) -> list[Fault]:
    """Return what is wrong with the priority and the longest runtime of a job.

    Args:
        priority: its priority; None: it is not meant.
        runtime: its `max_runtime_seconds`; None: it has none, or is not meant.
        limited: its owner and its project, if they have limits.
        max_priority: the highest priority that the user may give to it.
    """
    faults = []
    if priority is not None and priority > max_priority:
        message = f"You may give jobs a priority of at most {max_priority}; an admin may allow you a higher one."
        faults.append(limit_fault("/priority", message, priority, f"at most {max_priority}"))
    for holder in limited:
        longest = holder.limits.runtime_seconds
        if runtime is not None and longest is not None and runtime > longest:
            message = f"{holder.subject} may have jobs of at most {longest:,} seconds."
            faults.append(limit_fault("/max_runtime_seconds", message, runtime, f"at most {longest}"))
    return faults


def longest_runtime(limited: Iterable[Holder]) -> int | None:
    """Return how many seconds a job may run at the most; None: for ever."""
    return smallest(holder.limits.runtime_seconds for holder in limited)
