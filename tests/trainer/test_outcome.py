"""Why a training ended, and what its job's owner is told."""

import errno
import math
from typing import Any

import pytest
import tensorflow as tf

from fitqueue.reports import Position
from fitqueue.states import Reason
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.npz import DataError, DataUnreadable
from workers.shared.protocol import Ended, Stop, Stopped
from workers.trainer import outcome
from workers.trainer.checkpoints import WriteFailed
from workers.trainer.snapshot import SnapshotOutOfReach


@pytest.mark.parametrize(
    ("epoch", "loss", "reason", "message"),
    [
        (5, 0.1, Reason.COMPLETED, "All 5 epochs were trained."),
        (3, 0.1, Reason.EARLY_STOPPED, "A callback ended the training after epoch 3."),
        (3, math.nan, Reason.NAN_LOSS, "The loss of epoch 3 was nan."),
        (5, math.inf, Reason.NAN_LOSS, "The loss of epoch 5 was inf."),
    ],
)
def test_a_training_that_returns(epoch: int, loss: float, reason: Reason, message: str) -> None:
    assert outcome.of_training(epoch, 5, {"loss": loss}) == Ended(reason=reason, message=message)


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (None, " before training began."),
        (Position(0), "; training ended before its first step."),
        (Position(0, 7), "; training ended after 7 steps of epoch 1."),
        (Position(2), "; training ended after epoch 2."),
        (Position(2, 7), "; training ended after 7 steps of epoch 3."),
    ],
)
@pytest.mark.parametrize(
    ("cause", "reason", "description"),
    [
        ("cancel", Reason.CANCELLED_BY_USER, "The job was cancelled"),
        ("max_runtime", Reason.MAX_RUNTIME, "The job had run for its max_runtime_seconds"),
    ],
)
def test_a_job_that_is_stopped(
    cause: Any, reason: Reason, description: str, position: Position | None, text: str
) -> None:
    assert outcome.of_stop(Stop(cause=cause), position) == Ended(reason=reason, message=description + text)


@pytest.mark.parametrize("cause", ["shutdown", "pause"])
def test_a_job_that_makes_room(cause: Any) -> None:
    assert outcome.of_stop(Stop(cause=cause), Position(1)) == Stopped()


FULL = OSError(errno.ENOSPC, "No space left on device")
UNREADABLE_WEIGHTS = ModelBuildError("/initial_weights/job", "x")
UNREADABLE_WEIGHTS.__cause__ = DataUnreadable("x")


@pytest.mark.parametrize(
    ("error", "in_fit", "reason"),
    [
        (DataError("x"), False, Reason.INVALID_DATA),
        (ModelBuildError("/model", "x"), False, Reason.INVALID_MODEL),
        (WriteFailed("x"), True, Reason.STORAGE_FAILED),
        (SnapshotOutOfReach("x"), True, Reason.STORAGE_FAILED),
        (FULL, True, Reason.STORAGE_FAILED),
        (tf.errors.ResourceExhaustedError(None, None, "No space left on device"), True, Reason.STORAGE_FAILED),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), True, Reason.OUT_OF_MEMORY),
        (MemoryError(), False, Reason.OUT_OF_MEMORY),
        (ValueError("x"), True, Reason.INVALID_DATA),
        (ValueError("x"), False, Reason.INTERNAL_ERROR),
        (RuntimeError("NaN"), True, Reason.NAN_LOSS),
        (RuntimeError("NaN"), False, Reason.INTERNAL_ERROR),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_training_that_raises(error: Exception, in_fit: bool, reason: Reason) -> None:
    assert outcome.of_error(error, in_fit=in_fit, terminates_on_nan=True).reason is reason


@pytest.mark.parametrize(
    ("error", "may_recover"),
    [
        (FULL, True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (WriteFailed("x", is_outage=True), True),
        (SnapshotOutOfReach("x"), True),
        (DataUnreadable("x"), True),
        (UNREADABLE_WEIGHTS, True),
        (DataError("x"), False),
        (WriteFailed("x"), False),
        (OSError(errno.EACCES, "Permission denied"), False),
        (MemoryError(), False),
    ],
)
def test_what_time_may_mend(error: Exception, may_recover: bool) -> None:
    assert outcome.of_error(error, in_fit=True, terminates_on_nan=False).may_recover == may_recover


def test_the_message_of_a_graph_error_has_no_stack_and_no_nodes() -> None:
    error = tf.errors.InvalidArgumentError(
        None,
        None,
        "Graph execution error:\n\nDetected at node sub defined at:\n"
        '  File "/site-packages/keras/loss.py", line 1, in call\n\n'
        "Incompatible shapes: [2] vs. [3]\n\t [[{{node sub}}]] [Op:__inference_1]",
    )
    assert outcome.error_message(error) == "Incompatible shapes: [2] vs. [3]"


def test_a_message_has_no_colours_and_a_limited_length() -> None:
    assert outcome.error_message(ValueError("\x1b[1mbold\x1b[0m")) == "bold"
    assert outcome.error_message(ValueError("x" * 3_000)) == "x" * (outcome.MAX_MESSAGE_LENGTH - 1) + "…"
    assert outcome.error_message(ValueError()) == "ValueError"
