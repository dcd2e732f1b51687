"""What a diagnosis advises: in curves that experts judged, after a callback stopped a job, with a spent rate."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.advice import TEXTS_AFTER_STOP, Language, Verdict
from fitqueue.diagnosis import SPENT_RATE, Losses, diagnose
from fitqueue.trends import Trend

JUDGED = json.loads((Path(__file__).parent / "judged_curves.json").read_text())

MORE_EPOCHS = ("extend", "Keep training", "Wait", "more epochs", "继续训练", "增加训练轮数", "更多训练轮")
"""Ways to advise more epochs."""

Pairs = list[tuple[float, float]]


def as_history(pairs: Pairs) -> list[Losses]:
    return [Losses(epoch, *pair) for epoch, pair in enumerate(pairs, start=1)]


def descent(epochs: int, training_floor: float, validation_floor: float, pace: float = 1.0) -> Pairs:
    """Return losses that fall to a floor, without noise."""
    return [
        (training_floor + math.exp(-pace * epoch), validation_floor + math.exp(-pace * epoch))
        for epoch in range(epochs)
    ]


@pytest.mark.parametrize("curve", JUDGED, ids=lambda curve: curve["name"])
def test_curves_get_a_verdict_that_experts_accept(curve: dict[str, Any]) -> None:
    assert diagnose(as_history(curve["losses"])).verdict in curve["acceptable"]


def test_losses_that_fall_at_each_epoch_are_learning_however_slowly_the_validation_loss_falls() -> None:
    losses = as_history([(0.9 - 0.02 * epoch, 0.8 - 0.002 * epoch) for epoch in range(8)])
    diagnosis = diagnose(losses)
    assert diagnosis.verdict is Verdict.LEARNING
    assert [movement.trend for movement in diagnosis.movements] == [Trend.FALLING, Trend.FALLING]


def test_a_training_loss_that_still_falls_a_little_is_no_data_problem() -> None:
    losses = as_history([(0.5 - 0.001 * epoch, 0.9 - 0.03 * epoch) for epoch in range(10)])
    assert diagnose(losses).verdict is Verdict.LEARNING
    stuck = as_history([(0.5, 0.9 - 0.03 * epoch) for epoch in range(10)])
    assert diagnose(stuck).verdict is Verdict.DATA_PROBLEM


def test_a_training_loss_whose_noise_could_hide_a_fall_is_no_data_problem() -> None:
    noise = [0.0, 0.06, -0.05, 0.04, -0.06, 0.05, -0.04, 0.06, -0.05, 0.0]
    losses = as_history([(0.5 + noise[epoch], 0.9 - 0.01 * epoch) for epoch in range(10)])
    assert diagnose(losses).verdict is Verdict.UNCLEAR


def test_a_validation_loss_below_the_training_loss_is_no_overfitting() -> None:
    above = [(0.9 - 0.05 * epoch, 0.95) for epoch in range(10)]
    below = [(training, 0.4) for training, _ in above]
    assert diagnose(as_history(above)).verdict is Verdict.OVERFITTING
    assert diagnose(as_history(below)).verdict is Verdict.UNCLEAR


def test_a_newest_validation_loss_that_is_the_best_is_no_overfitting() -> None:
    wavering = [0.8, 0.81, 0.8, 0.82, 0.8, 0.81, 0.8, 0.81, 0.8]
    losses = [(0.5 * 0.8**epoch, validation) for epoch, validation in enumerate([*wavering, 0.81])]
    assert diagnose(as_history(losses)).verdict is Verdict.OVERFITTING
    losses[-1] = (losses[-1][0], 0.79)
    assert diagnose(as_history(losses)).verdict is Verdict.UNCLEAR


@pytest.mark.parametrize("patience", [2, 3, 5])
def test_the_descent_before_the_best_epoch_does_not_count(patience: int) -> None:
    """Over the whole window both losses fall, so only the epochs since the best one can show that they no longer do."""
    best = 14
    losses = descent(best, 0.1, 0.3, 0.35)
    losses += [(losses[-1][0], losses[-1][1] + 0.002 * (1 + epoch % 2)) for epoch in range(patience)]
    assert diagnose(as_history(losses[:best])).verdict is Verdict.LEARNING
    assert diagnose(as_history(losses)).verdict is not Verdict.LEARNING
    assert diagnose(as_history(losses), early_stopped=True).verdict is not Verdict.LEARNING


def test_one_epoch_without_a_better_validation_loss_is_noise() -> None:
    losses = descent(20, 0.1, 0.3, 0.1)
    losses[-1] = (losses[-1][0], losses[-2][1] * 1.01)
    assert diagnose(as_history(losses)).verdict is Verdict.LEARNING


def test_losses_that_fell_and_stand_still_when_a_callback_stops_the_job_have_converged() -> None:
    losses = as_history(descent(30, 0.1, 0.3))
    assert diagnose(losses).verdict is Verdict.BOTTLENECK
    assert diagnose(losses, early_stopped=True).verdict is Verdict.CONVERGED


def test_losses_that_never_fell_have_not_converged() -> None:
    losses = as_history([(2.33, 2.33)] * 12)
    assert diagnose(losses, early_stopped=True).verdict is Verdict.BOTTLENECK


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (descent(20, 0.1, 0.3, 0.05), Verdict.CONVERGED),
        ([(2.33, 2.33)] * 12, Verdict.CONVERGED),
        ([(0.9 - 0.05 * epoch, 0.95 + 0.02 * epoch) for epoch in range(10)], Verdict.OVERFITTING),
        ([(1.0 + 0.1 * epoch, 1.1 + 0.1 * epoch) for epoch in range(10)], Verdict.DIVERGING),
    ],
)
def test_a_rate_under_one_percent_of_the_highest_moves_nothing(losses: Pairs, verdict: Verdict) -> None:
    before = diagnose(as_history(losses), rate_share=SPENT_RATE).verdict
    assert diagnose(as_history(losses), rate_share=0.99 * SPENT_RATE).verdict is verdict
    assert before is verdict or before in {Verdict.LEARNING, Verdict.BOTTLENECK}


def test_losses_that_fall_when_a_callback_stops_the_job_are_learning_with_advice_about_the_callback() -> None:
    losses = as_history(descent(12, 0.1, 0.3, 0.05))
    running, stopped = diagnose(losses), diagnose(losses, early_stopped=True)
    assert (running.verdict, stopped.verdict) == (Verdict.LEARNING, Verdict.LEARNING)
    assert "fitqueue extend" in running.advice
    assert "min_delta" in stopped.advice
    assert "min_delta" in diagnose(losses, "zh", early_stopped=True).advice


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("verdict", Verdict)
def test_no_text_after_a_stop_advises_more_epochs(verdict: Verdict, language: Language) -> None:
    summary, advice = TEXTS_AFTER_STOP[language][verdict]
    assert summary
    assert not [words for words in MORE_EPOCHS if words in summary + advice]


PAIRS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=5, max_size=50)


@given(PAIRS, st.booleans(), st.floats(0, 1))
def test_overfitting_needs_a_gap_and_a_better_epoch_before(
    pairs: Pairs, early_stopped: bool, rate_share: float
) -> None:
    diagnosis = diagnose(as_history(pairs), early_stopped=early_stopped, rate_share=rate_share)
    if diagnosis.verdict is Verdict.OVERFITTING:
        training, validation = pairs[-1]
        assert validation >= training
        assert validation >= min(earlier for _, earlier in pairs[:-1])


@given(PAIRS, st.floats(0, 0.99 * SPENT_RATE))
def test_a_spent_rate_never_leads_to_advice_of_more_epochs(pairs: Pairs, rate_share: float) -> None:
    for language in ("en", "zh"):
        diagnosis = diagnose(as_history(pairs), language, rate_share=rate_share)
        assert not [words for words in MORE_EPOCHS if words in diagnosis.advice]
