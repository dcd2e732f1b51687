"""How long a training takes, from the seconds of its epochs."""

from dataclasses import dataclass
from typing import Any, Final

from service.forecast.estimate import Estimate

RECENT_EPOCHS: Final = 20
"""The pace follows the last epochs, about this many: some of them may have a validation or a checkpoint, others not."""

_MOST: Final = 0.5
"""The part of an epoch after which its own steps tell that it takes longer than those before it."""


_WEIGHT: Final = 0.3
"""How much the newest job of a kind counts against those before it."""


@dataclass(frozen=True)
class Training:
    """How far a training has come.

    Attributes:
        epochs: how many epochs there are in all.
        complete: how many of them have ended.
        share: how much of the steps of the current one is done, from 0 to 1.
        seconds_per_epoch: the pace of its epochs, or of similar jobs; None if it is not known.
        seconds_in_epoch: the time since the last epoch ended, or since the first one began; None before that.
        seconds_allowed: what is left of its `max_runtime_seconds`; None if it has no such limit.
        may_end_early: whether a callback may end it before its last epoch.
    """

    epochs: int
    complete: int
    share: float
    seconds_per_epoch: float | None
    seconds_in_epoch: float | None
    seconds_allowed: float | None
    may_end_early: bool


def time_left(training: Training) -> Estimate | None:
    """Return when a training ends; None if nothing tells how long its epochs take."""
    epochs_left = training.epochs - training.complete
    pace = training.seconds_per_epoch or _pace_of_steps(training)
    if epochs_left <= 0:
        return Estimate(0.0)
    if pace is None:
        return None
    return _within_limits(training, _left_of_epoch(training, pace) + (epochs_left - 1) * pace)


def whole_time(training: Training, start_seconds: float) -> Estimate | None:
    """Return how long a training takes that does not run yet, once a worker has it.

    Args:
        training: where it will begin.
        start_seconds: how long it takes besides its epochs.
    """
    if training.seconds_per_epoch is None:
        return None
    epochs_left = max(0, training.epochs - training.complete)
    return _within_limits(training, start_seconds + epochs_left * training.seconds_per_epoch)


def next_pace(pace: float | None, epochs: int, seconds: float) -> float:
    """Return the pace after another epoch.

    Args:
        pace: the pace before; at first, that of an earlier attempt or of similar jobs, or None.
        epochs: how many epochs of this attempt have ended, this one included.
        seconds: from the end of the epoch before to the end of this one: training, validation and saving.
    """
    if epochs == 1:
        # Keras traces the model in the first epoch, which then says little about the others.
        return seconds if pace is None else pace
    if epochs == 2 or pace is None:
        return seconds
    return pace + (seconds - pace) / min(epochs - 1, RECENT_EPOCHS)


def start_seconds(seconds_used: float, epochs: int, pace: float, attempts: int) -> float:
    """Return what an attempt of an ended job took besides its epochs: loading, building, tracing, and saving."""
    return max(0.0, seconds_used - epochs * pace) / max(1, attempts)


def blended(known: Any, newest: Any) -> Any:
    """Return what is known of a kind of jobs after another job of it: the newest ones count most.

    Args:
        known: what was known, as a number or as a column in SQL.
        newest: the value of the newest job, likewise.
    """
    return (1 - _WEIGHT) * known + _WEIGHT * newest


def _within_limits(training: Training, seconds: float) -> Estimate:
    if training.seconds_allowed is not None:
        seconds = min(seconds, max(0.0, training.seconds_allowed))
    return Estimate(seconds, training.may_end_early)


def _pace_of_steps(training: Training) -> float | None:
    """Return the seconds of the first epoch, by the steps that it has done."""
    if not training.share or not training.seconds_in_epoch:
        return None
    return training.seconds_in_epoch / training.share


def _left_of_epoch(training: Training, pace: float) -> float:
    """Return the seconds until the current epoch ends, with its validation and its checkpoints."""
    seconds = training.seconds_in_epoch or 0.0
    by_steps = seconds * (1 - training.share) / training.share if training.share > _MOST else 0.0
    return max(pace - seconds, by_steps, 0.0)
