"""What training loss and validation loss say about a training: the five rules of the Keras reference of 2020.

Both losses fall: the network is still learning. Only the training loss falls: it is overfitting. Only the validation
loss falls: something is wrong with the data. Both are flat: learning has reached a bottleneck. Both rise: the network,
its hyperparameters or the data are wrong.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, Field

from fitqueue.advice import TEXTS, Language, Verdict
from fitqueue.trends import Point, Trend, measure_movement

MIN_EPOCHS: Final = 5
"""With fewer points, even a straight line can hardly be told from chance."""

MAX_WINDOW: Final = 20
"""The most epochs at the end of a history whose trends are compared."""

HISTORY: Final = 200
"""The most epochs that a diagnosis needs. The window is shorter; earlier epochs only give the range of values."""


class Losses(NamedTuple):
    """The losses of one epoch. `validation` is None if the epoch was not validated."""

    epoch: int
    training: float
    validation: float | None

    @property
    def are_finite(self) -> bool:
        """Whether no loss of the epoch is NaN or infinite."""
        return math.isfinite(self.training) and (self.validation is None or math.isfinite(self.validation))


class LossMovement(BaseModel):
    """The movement of one loss over the window."""

    metric: Literal["loss", "val_loss"]
    trend: Trend
    slope: float = Field(description="change per epoch: the median of the slopes between all pairs of epochs")
    low: float = Field(description="lower bound of the slope (90 % confidence)")
    high: float = Field(description="upper bound of the slope (90 % confidence)")
    change: float = Field(
        description="change over the window as a share of the median loss in it: -0.1 means a tenth less"
    )


class Diagnosis(BaseModel):
    """What the losses of a training mean, and what to try next."""

    verdict: Verdict
    summary: str = Field(description="what the losses do, and what that means")
    advice: str = Field(description="what to try next; empty if all there is to do is wait")
    first_epoch: int | None = Field(description="first epoch of the window, 1-based; null if there are too few epochs")
    last_epoch: int | None = Field(description="last epoch of the window, 1-based; null if there are too few epochs")
    movements: list[LossMovement] = Field(description="the evidence: training loss, then validation loss")


RULES: Final = {
    (Trend.FALLING, Trend.FALLING): Verdict.LEARNING,
    (Trend.FALLING, Trend.FLAT): Verdict.OVERFITTING,
    (Trend.FLAT, Trend.FALLING): Verdict.DATA_PROBLEM,
    (Trend.FLAT, Trend.FLAT): Verdict.BOTTLENECK,
    (Trend.RISING, Trend.RISING): Verdict.DIVERGING,
    # The reference does not list these two, but a validation loss that starts to rise is the usual sign of overfitting.
    (Trend.FALLING, Trend.RISING): Verdict.OVERFITTING,
    (Trend.FLAT, Trend.RISING): Verdict.OVERFITTING,
}
"""The verdict for the trends of training loss and validation loss. Any other pair is `unclear`."""


def diagnose(history: Sequence[Losses], language: Language = "en") -> Diagnosis:
    """Return what the most recent epochs say about a training.

    The trends are those of a window at the end: the later half of the epochs, at least MIN_EPOCHS and at most
    MAX_WINDOW, because what a training did long ago says little about what it does now. If some epochs were validated,
    those that were not are left out.

    Args:
        history: the losses in ascending order of epochs, which may have gaps.
        language: the language of summary and advice.
    """
    if history and not history[-1].are_finite:
        return _build(Verdict.DIVERGING, language, history[-1:], [])
    is_validated = any(losses.validation is not None for losses in history)
    compared = [
        losses for losses in history if losses.are_finite and (losses.validation is not None or not is_validated)
    ]
    if len(compared) < MIN_EPOCHS:
        return _build(Verdict.TOO_EARLY, language, [], [])
    window = compared[-min(max(len(compared) // 2, MIN_EPOCHS), MAX_WINDOW) :]
    training = _measure("loss", [(losses.epoch, losses.training) for losses in compared], len(window))
    if not is_validated:
        return _build(Verdict.NO_VALIDATION, language, window, [training])
    validation_losses = [(losses.epoch, losses.validation) for losses in compared if losses.validation is not None]
    validation = _measure("val_loss", validation_losses, len(window))
    verdict = RULES.get((training.trend, validation.trend), Verdict.UNCLEAR)
    return _build(verdict, language, window, [training, validation])


def _measure(metric: Literal["loss", "val_loss"], points: Sequence[Point], window: int) -> LossMovement:
    values = [value for _, value in points]
    movement = measure_movement(points[-window:], max(values) - min(values))
    return LossMovement(metric=metric, **movement._asdict())


def _build(verdict: Verdict, language: Language, window: Sequence[Losses], movements: list[LossMovement]) -> Diagnosis:
    summary, advice = TEXTS[language][verdict]
    return Diagnosis(
        verdict=verdict,
        summary=summary,
        advice=advice,
        first_epoch=window[0].epoch if window else None,
        last_epoch=window[-1].epoch if window else None,
        movements=movements,
    )
