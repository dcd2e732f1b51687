"""What the movement of training loss and validation loss says of a training: five rules, as one pure function.

The rules are those of the Keras reference of 2020 that this service is built along: both losses fall, the network still
learns; only the training's falls, it overfits; only the validation's falls, the data have a fault; neither falls, the
learning has met a bottleneck; both rise, the network, its settings or the data are wrong.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, Field

from fitqueue.advice import TEXTS, Language, Verdict
from fitqueue.trends import Trend, movement

MIN_EPOCHS: Final = 5
"""Of fewer points even a straight line differs little from chance."""

MAX_WINDOW: Final = 20

HISTORY: Final = 200
"""More epochs than this tell nothing new: the window is short, and the range before it serves as a measure only."""


class Losses(NamedTuple):
    """What one epoch logged. `validation` is None where the epoch was not validated."""

    epoch: int
    training: float
    validation: float | None

    @property
    def are_finite(self) -> bool:
        return math.isfinite(self.training) and (self.validation is None or math.isfinite(self.validation))


class LossMovement(BaseModel):
    """How one loss moved over the window."""

    metric: Literal["loss", "val_loss"]
    trend: Trend
    slope: float = Field(description="change an epoch: the median of the slopes between all pairs of epochs")
    low: float = Field(description="with `high`: bounds of the slope, with a confidence of 90 %")
    high: float
    change: float = Field(description="slope times window, as a share of the median loss in it: -0.1 is a tenth less")


class Diagnosis(BaseModel):
    verdict: Verdict
    summary: str = Field(description="what the losses do and what that means")
    advice: str = Field(description="what to try; empty where there is nothing to do but wait")
    first_epoch: int | None = Field(description="of the window that was looked at, 1-based; null where there is none")
    last_epoch: int | None
    movements: list[LossMovement] = Field(description="the evidence: training loss, then validation loss")


RULES: Final = {
    (Trend.FALLING, Trend.FALLING): Verdict.LEARNING,
    (Trend.FALLING, Trend.FLAT): Verdict.OVERFITTING,
    (Trend.FLAT, Trend.FALLING): Verdict.DATA_PROBLEM,
    (Trend.FLAT, Trend.FLAT): Verdict.BOTTLENECK,
    (Trend.RISING, Trend.RISING): Verdict.DIVERGING,
    # The reference does not name these two; a validation loss that turns round is what overfitting looks like.
    (Trend.FALLING, Trend.RISING): Verdict.OVERFITTING,
    (Trend.FLAT, Trend.RISING): Verdict.OVERFITTING,
}
"""By the trends of training loss and validation loss. What is not here is `unclear`."""


def diagnose(history: Sequence[Losses], language: Language = "en") -> Diagnosis:
    """What the end of this history says. Its epochs ascend, and may have gaps.

    The window is the later half of the epochs, at least MIN_EPOCHS and at most MAX_WINDOW: what a training did long ago
    says little of what it does now. Where some epochs were validated, the others are left out.
    """
    if history and not history[-1].are_finite:
        return _diagnosis(Verdict.DIVERGING, language, history[-1:], [])
    is_validated = any(losses.validation is not None for losses in history)
    compared = [
        losses for losses in history if losses.are_finite and (losses.validation is not None or not is_validated)
    ]
    if len(compared) < MIN_EPOCHS:
        return _diagnosis(Verdict.TOO_EARLY, language, [], [])
    window = compared[-min(max(len(compared) // 2, MIN_EPOCHS), MAX_WINDOW) :]
    training = _movement("loss", {losses.epoch: losses.training for losses in compared}, len(window))
    if not is_validated:
        return _diagnosis(Verdict.NO_VALIDATION, language, window, [training])
    validations = {losses.epoch: losses.validation for losses in compared if losses.validation is not None}
    validation = _movement("val_loss", validations, len(window))
    verdict = RULES.get((training.trend, validation.trend), Verdict.UNCLEAR)
    return _diagnosis(verdict, language, window, [training, validation])


def _movement(metric: Literal["loss", "val_loss"], values: dict[int, float], window: int) -> LossMovement:
    covered = max(values.values()) - min(values.values())
    return LossMovement(metric=metric, **movement(list(values.items())[-window:], covered)._asdict())


def _diagnosis(
    verdict: Verdict, language: Language, window: Sequence[Losses], movements: list[LossMovement]
) -> Diagnosis:
    summary, advice = TEXTS[language][verdict]
    return Diagnosis(
        verdict=verdict,
        summary=summary,
        advice=advice,
        first_epoch=window[0].epoch if window else None,
        last_epoch=window[-1].epoch if window else None,
        movements=movements,
    )
