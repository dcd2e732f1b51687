"""What training loss and validation loss say about a training: the five rules of the Keras reference of 2020.

Both losses fall: the network is still learning. Only the training loss falls: it is overfitting. Only the validation
loss falls: something is wrong with the data. Both are flat: learning has reached a bottleneck. Both rise: the network,
its hyperparameters or the data are wrong.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, Field

from fitqueue.advice import NON_FINITE_DATA, TEXTS, TEXTS_AFTER_STOP, Language, Verdict
from fitqueue.trends import Movement, Point, Trend, measure_movement

MIN_EPOCHS: Final = 5
"""With fewer points, even a straight line can hardly be told from chance."""

MAX_WINDOW: Final = 20
"""The most epochs at the end of a history whose trends are compared."""

LIKELY_NOISE: Final = 1
"""So many epochs without a better validation loss say nothing: a single one is noise."""

SPENT_RATE: Final = 0.01
"""With a learning rate below this share of its highest value, more epochs change next to nothing."""

HAS_FALLEN: Final = 0.1
"""A training loss that never fell by this share of its first value has not converged, however still it stands."""

HISTORY: Final = 200
"""The most epochs that a diagnosis needs. The window is shorter; earlier epochs only give the range of values."""


Metric = Literal["loss", "val_loss"]


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

    metric: Metric
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


def diagnose(
    history: Sequence[Losses],
    language: Language = "en",
    *,
    early_stopped: bool = False,
    rate_share: float = 1.0,
    nan_weights: bool = False,
    non_finite_data: Sequence[str] = (),
) -> Diagnosis:
    """Return what the most recent epochs say about a training.

    Args:
        history: the losses in ascending order of epochs, which may have gaps. If some epochs were validated, those that
            were not are left out.
        language: the language of summary and advice.
        early_stopped: whether a callback ended the training.
        rate_share: the newest learning rate as a share of the highest one.
        nan_weights: whether the weights became NaN or infinite.
        non_finite_data: sentences that say which arrays have NaN or infinite values, and how many.
    """
    texts = (TEXTS_AFTER_STOP if early_stopped else TEXTS)[language]
    if history and (nan_weights or not history[-1].are_finite):
        return _explain_non_finite(_build(Verdict.DIVERGING, texts, history[-1:]), non_finite_data, language)
    is_validated = any(losses.validation is not None for losses in history)
    compared = [
        losses for losses in history if losses.are_finite and (losses.validation is not None or not is_validated)
    ]
    if len(compared) < MIN_EPOCHS:
        return _build(Verdict.TOO_EARLY, texts)
    training_points = [(losses.epoch, losses.training) for losses in compared]
    validation_points = [(losses.epoch, losses.validation) for losses in compared if losses.validation is not None]
    length = _window_length(validation_points or training_points, is_validated)
    training = _measure(training_points, length)
    if not is_validated:
        return _build(Verdict.NO_VALIDATION, texts, compared[-length:], {"loss": training})
    validation = _measure(validation_points, length)
    training, validation = training.follow(validation), validation.follow(training)
    verdict = _apply_rules(training, validation, compared)
    if _has_converged(verdict, compared, length, early_stopped, rate_share):
        verdict = Verdict.CONVERGED
    return _build(verdict, texts, compared[-length:], {"loss": training, "val_loss": validation})


def _explain_non_finite(diagnosis: Diagnosis, data: Sequence[str], language: Language) -> Diagnosis:
    if not data:
        return diagnosis
    summary, advice = NON_FINITE_DATA[language]
    return diagnosis.model_copy(update={"summary": " ".join([summary, *data]), "advice": advice})


def _window_length(points: Sequence[Point], is_validated: bool) -> int:
    """Return how many of the last epochs to compare.

    It is the later half, because what a training did long ago says little about what it does now. If the validation
    loss fell in that half, but reached its best a while ago, only the epochs since then count. The best epoch itself
    does not: whatever follows the lowest of several values looks like a rise.
    """
    length = min(max(len(points) // 2, MIN_EPOCHS), MAX_WINDOW)
    values = [value for _, value in points[-length:]]
    since_best = length - 1 - values.index(min(values))
    if not is_validated or since_best <= LIKELY_NOISE or _measure(points, length).high >= 0:
        return length
    return max(since_best, MIN_EPOCHS)


def _measure(points: Sequence[Point], length: int) -> Movement:
    values = [value for _, value in points]
    return measure_movement(points[-length:], max(values) - min(values))


def _apply_rules(training: Movement, validation: Movement, compared: Sequence[Losses]) -> Verdict:
    """Return the verdict of the rules, or `unclear` where the evidence is too weak for a rule that finds a fault."""
    verdict = RULES.get((training.trend, validation.trend), Verdict.UNCLEAR)
    if verdict is Verdict.OVERFITTING and not _may_overfit(training, validation, compared):
        return Verdict.UNCLEAR
    if verdict is Verdict.DATA_PROBLEM and not training.lags_behind(validation):
        return Verdict.UNCLEAR
    return verdict


def _may_overfit(training: Movement, validation: Movement, compared: Sequence[Losses]) -> bool:
    values = [losses.validation for losses in compared if losses.validation is not None]
    is_best = values[-1] < min(values[:-1])
    has_gap = values[-1] >= compared[-1].training
    return has_gap and not is_best and (validation.trend is Trend.RISING or validation.lags_behind(training))


def _has_converged(
    verdict: Verdict, compared: Sequence[Losses], length: int, early_stopped: bool, rate_share: float
) -> bool:
    """Tell whether a training that the rules find no fault with has run its course."""
    if rate_share < SPENT_RATE:
        return verdict in {Verdict.LEARNING, Verdict.BOTTLENECK, Verdict.UNCLEAR}
    first = compared[0].training
    fall = first - max(losses.training for losses in compared[-length:])
    return early_stopped and verdict is Verdict.BOTTLENECK and fall > HAS_FALLEN * abs(first)


def _build(
    verdict: Verdict,
    texts: Mapping[Verdict, tuple[str, str]],
    window: Sequence[Losses] = (),
    movements: Mapping[Metric, Movement] | None = None,
) -> Diagnosis:
    summary, advice = texts[verdict]
    return Diagnosis(
        verdict=verdict,
        summary=summary,
        advice=advice,
        first_epoch=window[0].epoch if window else None,
        last_epoch=window[-1].epoch if window else None,
        movements=[_as_evidence(metric, movement) for metric, movement in (movements or {}).items()],
    )


def _as_evidence(metric: Metric, movement: Movement) -> LossMovement:
    return LossMovement(
        metric=metric,
        trend=movement.trend,
        slope=movement.slope,
        low=movement.low,
        high=movement.high,
        change=movement.change,
    )
