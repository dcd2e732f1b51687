"""Why a training ended, from the way in which `fit` returned or from the exception that it raised."""

import errno
import math
import os
import re
from collections.abc import Mapping
from typing import Final

import tensorflow as tf

from fitqueue.reports import Position
from fitqueue.states import Reason
from fitqueue.text import strip_ansi, truncate
from workers.keras_tools.downloads import is_network_error
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.messages import without_graph_words
from workers.keras_tools.npz import DataError, DataUnreadable
from workers.shared.outages import is_disk_outage
from workers.shared.protocol import Ended, Stop, Stopped
from workers.trainer.artifacts import ArtifactsTooLarge
from workers.trainer.checkpoints import WriteFailed
from workers.trainer.control import StopRequested
from workers.trainer.snapshot import SnapshotOutOfReach

MAX_MESSAGE_LENGTH: Final = 2_000

# A TensorFlow error in a graph: a heading, a stack of its own files, the message, and the nodes of the graph.
_GRAPH_ERROR: Final = "Graph execution error"
_GRAPH_STACK: Final = re.compile(r'\A.*^ *File "[^\n]*\n', re.DOTALL | re.MULTILINE)
_GRAPH_HEADING: Final = re.compile(
    r"\AGraph execution error:\s*(Detected at node [^\n]*\s*)?(<stack traces unavailable>)?"
)
_GRAPH_NODES: Final = re.compile(r"\s*\[\[.*\Z", re.DOTALL)

# The first type that matches counts.
_REASONS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason], ...]] = (
    (DataError, Reason.INVALID_DATA),
    (ModelBuildError, Reason.INVALID_MODEL),
    ((WriteFailed, SnapshotOutOfReach), Reason.STORAGE_FAILED),
    (ArtifactsTooLarge, Reason.LIMIT_REACHED),
    ((MemoryError, tf.errors.ResourceExhaustedError), Reason.OUT_OF_MEMORY),
)
# What `fit` raises if the arrays are not compatible with the model, the loss or the metrics.
_INCOMPATIBLE_DATA: Final = (ValueError, TypeError, IndexError, tf.errors.InvalidArgumentError)
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_STOP_REASONS: Final = {
    "cancel": (Reason.CANCELLED_BY_USER, "The job was cancelled"),
    "max_runtime": (Reason.MAX_RUNTIME, "The job had run for its max_runtime_seconds"),
}


def of_training(epoch: int, epochs: int, logs: Mapping[str, float], nan_weights: str | None = None) -> Ended:
    """Return the outcome of a `fit` that returned.

    Args:
        epoch: the last epoch that was trained.
        epochs: how many the job has.
        logs: what that epoch logged.
        nan_weights: the first variable that is not finite; None if all are.
    """
    loss = logs.get("loss", math.nan)
    if not math.isfinite(loss):
        return Ended(reason=Reason.NAN_LOSS, message=f"The loss of epoch {epoch} was {loss}.")
    if nan_weights is not None:
        message = (
            f"The weights {nan_weights!r} were NaN or infinite in epoch {epoch}, although its loss was {loss:.4g}. "
            "Look for NaN in the data, or reduce the learning rate."
        )
        return Ended(reason=Reason.NAN_WEIGHTS, message=message)
    if epoch < epochs:
        return Ended(reason=Reason.EARLY_STOPPED, message=f"A callback ended the training after epoch {epoch}.")
    return Ended(reason=Reason.COMPLETED, message=f"All {epochs} epochs were trained.")


def of_stop(stop: Stop, position: Position | None) -> Ended | Stopped:
    """Return the outcome of a training that was stopped because the worker asked for it.

    Args:
        position: where it was stopped; None if `fit` had not begun.
    """
    if stop.cause in {"shutdown", "drain", "pause", "preempt"}:
        return Stopped()
    reason, description = _STOP_REASONS[stop.cause]
    if position is None:
        return Ended(reason=reason, message=f"{description} before training began.")
    return Ended(reason=reason, message=f"{description}; training ended {_position_text(position)}.")


def _position_text(position: Position) -> str:
    return "before its first step" if position == Position(0) else position.description


def of_error(error: BaseException, *, in_fit: bool, terminates_on_nan: bool) -> Ended:
    """Return the outcome of a training that raised an exception.

    Args:
        in_fit: whether `fit` raised it, and not the preparation before it.
        terminates_on_nan: whether the job has a TerminateOnNaN.
    """
    assert not isinstance(error, StopRequested)
    return Ended(
        reason=_reason(error, in_fit, terminates_on_nan),
        message=error_message(error),
        may_recover=_is_outage(error) or (isinstance(error, DataError | ModelBuildError) and _may_come_back(error)),
    )


def error_message(error: BaseException) -> str:
    """Return the message of an error from Keras or TensorFlow without colours, their stack, and the words of graphs."""
    message = strip_ansi(str(error))
    if message.startswith(_GRAPH_ERROR):
        message = _GRAPH_NODES.sub("", _GRAPH_HEADING.sub("", _GRAPH_STACK.sub("", message)))
    return truncate(without_graph_words(message) or type(error).__name__, MAX_MESSAGE_LENGTH)


def _reason(error: BaseException, in_fit: bool, terminates_on_nan: bool) -> Reason:
    if _is_full_disk(error):
        return Reason.STORAGE_FAILED
    for types, reason in _REASONS:
        if isinstance(error, types):
            return reason
    if in_fit and terminates_on_nan and isinstance(error, RuntimeError) and "NaN" in str(error):
        return Reason.NAN_LOSS  # TerminateOnNaN(raise_error=True)
    if in_fit and isinstance(error, _INCOMPATIBLE_DATA):
        return Reason.INVALID_DATA
    return Reason.INTERNAL_ERROR


def _is_full_disk(error: BaseException) -> bool:
    """Return whether a disk was full. TensorFlow writes for callbacks, and has the same error for disk and memory."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return any(os.strerror(number) in str(error) for number in _DISK_FULL)
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def _is_outage(error: BaseException) -> bool:
    """Return whether a disk failed, which time or an operator mends."""
    if isinstance(error, WriteFailed):
        return error.is_outage
    return isinstance(error, SnapshotOutOfReach) or _is_full_disk(error) or is_disk_outage(error)


def _may_come_back(error: BaseException) -> bool:
    """Return whether data or weights were not there, and were not merely wrong."""
    is_unreadable = isinstance(error, DataUnreadable) or isinstance(error.__cause__, DataUnreadable)
    return is_unreadable or is_network_error(error)
