"""Explains how a training process that sent no last message ended, and which reason its job gets."""

import signal
from collections.abc import Sequence
from typing import Final, NamedTuple

from fitqueue.states import Reason
from workers.shared.exit_codes import LEASE_NOT_RENEWED

LINES_SHOWN: Final = 50


class ExitReason(NamedTuple):
    """Why a training process ended."""

    reason: Reason | None
    """What the job ends with if this happens again at the same position; None if it cannot be the job's fault."""
    message: str


_LIKELY_CAUSES: Final = {
    signal.SIGKILL: "most likely the machine ran out of memory and the kernel killed the largest process",
    signal.SIGSEGV: "a fault in native code (invalid memory access), most likely in a TensorFlow operation",
    signal.SIGBUS: "a fault in native code (memory that does not exist), or a full /dev/shm",
    signal.SIGABRT: "native code aborted, as TensorFlow does when one of its own assertions fails",
    signal.SIGFPE: "native code did arithmetic that has no result, such as an integer division by zero",
    signal.SIGILL: "this processor lacks an instruction that TensorFlow was built for",
    signal.SIGTERM: "something outside FitQueue asked it to end",
}
_UNKNOWN_CAUSE: Final = "FitQueue does not know why"
_REASONS: Final = {signal.SIGKILL: Reason.OUT_OF_MEMORY, signal.SIGTERM: None}


def explain(exit_code: int | None) -> ExitReason:
    """Return the reason, and one sentence, for an exit code.

    Args:
        exit_code: negative for a signal, as multiprocessing reports it; None if it is unknown.
    """
    if exit_code is None:
        return ExitReason(None, "The training process disappeared, and its exit code is unknown.")
    if exit_code == LEASE_NOT_RENEWED:
        return ExitReason(None, "The training process exited because its lease was not renewed in time.")
    if exit_code >= 0:
        message = f"The training process exited with code {exit_code} and without a last message."
        return ExitReason(Reason.INTERNAL_ERROR, message)
    name, cause, reason = _describe_signal(-exit_code)
    return ExitReason(reason, f"The training process was killed by {name}: {cause}.")


def last_lines(lines: Sequence[str]) -> str:
    """Return what the process printed last, under a heading; an empty text if it printed nothing."""
    shown = lines[-LINES_SHOWN:]
    return "\n".join([f"Its last {len(shown)} lines:", *shown]) if shown else ""


def _describe_signal(number: int) -> tuple[str, str, Reason | None]:
    try:
        known = signal.Signals(number)
    except ValueError:  # a real-time signal has no name
        return f"signal {number}", _UNKNOWN_CAUSE, Reason.INTERNAL_ERROR
    return known.name, _LIKELY_CAUSES.get(known, _UNKNOWN_CAUSE), _REASONS.get(known, Reason.INTERNAL_ERROR)
