"""Why a training ended: from how `fit` came back, or from the exception that left it."""

import errno
import math
import os
import re
from collections.abc import Mapping
from typing import Final

import tensorflow as tf

from fitqueue.states import Reason
from workers.keras_tools.build import ModelBuildError
from workers.keras_tools.downloads import is_of_network
from workers.keras_tools.npz import DataError
from workers.shared.protocol import Ended, Stop, Stopped
from workers.trainer.checkpoints import CheckpointFailed
from workers.trainer.control import StopRequested

MESSAGE_CHARACTERS: Final = 2_000
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
_GRAPH_ERROR: Final = "Graph execution error"
_GRAPH_STACK: Final = re.compile(r'\A.*^ *File "[^\n]*\n', re.DOTALL | re.MULTILINE)
_NODES: Final = re.compile(r"\s*\[\[.*\Z", re.DOTALL)

# In this order: the first kind that fits counts.
_REASONS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason], ...]] = (
    (DataError, Reason.INVALID_DATA),
    (ModelBuildError, Reason.INVALID_MODEL),
    (CheckpointFailed, Reason.STORAGE_FAILED),
    ((MemoryError, tf.errors.ResourceExhaustedError), Reason.OUT_OF_MEMORY),
)
# What Keras and TensorFlow raise in `fit` where the arrays do not fit the model, the loss or the metrics.
_MISFITS: Final = (ValueError, TypeError, IndexError, tf.errors.InvalidArgumentError)
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_STOPS: Final = {
    "cancel": (Reason.CANCELLED_BY_USER, "The job was cancelled"),
    "max_runtime": (Reason.MAX_RUNTIME, "The job had run for its max_runtime_seconds"),
}


def of_training(epoch: int, epochs: int, logs: Mapping[str, float]) -> Ended:
    """The end of a `fit` that came back after `epoch` of `epochs`."""
    loss = logs.get("loss", math.nan)
    if not math.isfinite(loss):
        return Ended(reason=Reason.NAN_LOSS, message=f"The loss of epoch {epoch} was {loss}.")
    if epoch < epochs:
        return Ended(reason=Reason.EARLY_STOPPED, message=f"A callback ended the training after epoch {epoch}.")
    return Ended(reason=Reason.COMPLETED, message=f"All {epochs} epochs were trained.")


def of_stop(stop: Stop, epoch: int, step: int) -> Ended | Stopped:
    """The end of a training that was left after `step` steps of `epoch` because the worker asked; 0, 0 before it."""
    if stop.cause in {"shutdown", "pause"}:
        return Stopped()
    reason, what = _STOPS[stop.cause]
    where = f"after {step} steps of epoch {epoch}" if epoch else "before training began"
    return Ended(reason=reason, message=f"{what}; training ended {where}.")


def of_error(error: BaseException, *, training: bool, nan_watched: bool) -> Ended:
    """The end by an exception, in `fit` or before it. `nan_watched`: the job has a TerminateOnNaN."""
    assert not isinstance(error, StopRequested)
    return Ended(
        reason=_reason(error, training, nan_watched),
        message=in_words(error),
        may_recover=isinstance(error, DataError | ModelBuildError) and is_of_network(error),
    )


def in_words(error: BaseException) -> str:
    """What Keras or TensorFlow says is wrong, without colours and without the way through their own files."""
    text = _ESCAPES.sub("", str(error))
    if text.startswith(_GRAPH_ERROR):
        text = _NODES.sub("", _GRAPH_STACK.sub("", text))
    text = text.strip() or type(error).__name__
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"


def _reason(error: BaseException, training: bool, nan_watched: bool) -> Reason:
    if _is_full_disk(error):
        return Reason.STORAGE_FAILED
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    if training and nan_watched and isinstance(error, RuntimeError) and "NaN" in str(error):
        return Reason.NAN_LOSS  # TerminateOnNaN(raise_error=True)
    if training and isinstance(error, _MISFITS):
        return Reason.INVALID_DATA
    return Reason.INTERNAL_ERROR


def _is_full_disk(error: BaseException) -> bool:
    """TensorFlow has one error for a full disk and for memory that is used up; callbacks write their files by it."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return any(os.strerror(number) in str(error) for number in _DISK_FULL)
    return isinstance(error, OSError) and error.errno in _DISK_FULL
