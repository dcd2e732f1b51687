"""How a training process died, in words, and the reason that a job's end gets from it."""

import signal
from typing import Final, NamedTuple

from fitqueue.states import Reason
from workers.shared.exit_codes import LEASE_NOT_RENEWED

LINES_SHOWN: Final = 50


class ExitReason(NamedTuple):
    reason: Reason | None
    """What the job ends with if it dies so again at the same place. None: it is not to blame."""
    message: str


_LIKELY: Final = {
    signal.SIGKILL: "most likely the machine ran out of memory and the kernel ended the largest process",
    signal.SIGSEGV: "it touched memory that it must not: a fault in native code, most likely in a TensorFlow operation",
    signal.SIGBUS: "it touched memory that is not there: a fault in native code, or a full /dev/shm",
    signal.SIGABRT: "native code gave up on itself, as TensorFlow does when one of its own checks fails",
    signal.SIGFPE: "native code did arithmetic that has no result, such as an integer division by zero",
    signal.SIGILL: "this processor lacks an instruction that TensorFlow was built for",
    signal.SIGTERM: "something outside FitQueue asked it to end",
}
_REASONS: Final = {signal.SIGKILL: Reason.OUT_OF_MEMORY, signal.SIGTERM: None}


def in_words(exit_code: int | None) -> ExitReason:
    """The reason and one sentence for a child that ended without a last word.

    `exit_code` is as multiprocessing gives it: negative for a signal, None where it could not be learned.
    """
    if exit_code is None:
        return ExitReason(None, "The training process vanished, and nobody saw how.")
    if exit_code == LEASE_NOT_RENEWED:
        return ExitReason(None, "The training process ended itself, because the lease could not be renewed in time.")
    if exit_code >= 0:
        return ExitReason(
            Reason.INTERNAL_ERROR, f"The training process left with exit code {exit_code} and without a last word."
        )
    name, likely, reason = _signal(-exit_code)
    return ExitReason(reason, f"The training process was killed by {name}: {likely}.")


def last_lines(lines: list[str]) -> str:
    """What the process printed last, the newest line at the end; empty where it printed nothing."""
    shown = lines[-LINES_SHOWN:]
    return "\n".join([f"Its last {len(shown)} lines:", *shown]) if shown else ""


def _signal(number: int) -> tuple[str, str, Reason | None]:
    try:
        known = signal.Signals(number)
    except ValueError:  # a real-time signal has no name
        return f"signal {number}", "FitQueue does not know why", Reason.INTERNAL_ERROR
    return known.name, _LIKELY.get(known, "FitQueue does not know why"), _REASONS.get(known, Reason.INTERNAL_ERROR)
