"""The five rules, on synthetic and on real histories, with noise of several kinds."""

import json
import math
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.advice import TEXTS, Language, Verdict
from fitqueue.diagnosis import HISTORY, MIN_EPOCHS, RULES, Diagnosis, Losses, diagnose
from fitqueue.trends import Trend

REAL = json.loads((Path(__file__).parent / "real_histories.json").read_text())

Curve = Callable[[float], float]

FALLING: Curve = lambda t: 2.0 * math.exp(-2 * t)  # noqa: E731 -- a table of curves
FLAT: Curve = lambda t: 0.7  # noqa: E731
RISING: Curve = lambda t: 0.3 + 2 * t  # noqa: E731
CURVES = {Trend.FALLING: FALLING, Trend.FLAT: FLAT, Trend.RISING: RISING}


def history(training: Curve, validation: Curve | None, epochs: int, noise: float = 0.0, seed: int = 0) -> list[Losses]:
    """Return losses along two curves. `noise` is its standard deviation, as a share of each value."""
    generator = random.Random(seed)

    def sample(curve: Curve, epoch: int) -> float:
        return curve(epoch / epochs) * (1 + generator.gauss(0, noise))

    return [Losses(e, sample(training, e), validation and sample(validation, e)) for e in range(1, epochs + 1)]


@pytest.mark.parametrize("epochs", [MIN_EPOCHS, 8, 15, 40, 300])
@pytest.mark.parametrize(("training", "validation"), list(product(CURVES, CURVES)))
def test_each_pair_of_trends_has_its_verdict(training: Trend, validation: Trend, epochs: int) -> None:
    diagnosis = diagnose(history(CURVES[training], CURVES[validation], epochs))
    assert diagnosis.verdict is RULES.get((training, validation), Verdict.UNCLEAR)
    assert [movement.trend for movement in diagnosis.movements] == [training, validation]


def test_the_five_rules_are_those_of_the_reference() -> None:
    rules = {
        (Trend.FALLING, Trend.FALLING): Verdict.LEARNING,
        (Trend.FALLING, Trend.FLAT): Verdict.OVERFITTING,
        (Trend.FLAT, Trend.FALLING): Verdict.DATA_PROBLEM,
        (Trend.FLAT, Trend.FLAT): Verdict.BOTTLENECK,
        (Trend.RISING, Trend.RISING): Verdict.DIVERGING,
    }
    assert rules.items() <= RULES.items()


@pytest.mark.parametrize("epochs", [12, 30, 60])
@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
@pytest.mark.parametrize(("training", "validation"), RULES)
def test_noise_seldom_gives_a_wrong_verdict(training: Trend, validation: Trend, noise: float, epochs: int) -> None:
    """«Unclear» is not a wrong answer; another rule is. Two 90 % intervals may err in nearly one case of five."""
    curves = CURVES[training], CURVES[validation]
    verdicts = [diagnose(history(*curves, epochs, noise, seed)).verdict for seed in range(100)]
    right = verdicts.count(RULES[training, validation])
    wrong = len(verdicts) - right - verdicts.count(Verdict.UNCLEAR)
    assert wrong <= 20
    assert right >= 50


def test_strong_noise_is_unclear_and_not_flat() -> None:
    verdicts = [diagnose(history(FLAT, FLAT, 10, 0.5, seed)).verdict for seed in range(100)]
    assert verdicts.count(Verdict.UNCLEAR) > 80
    assert verdicts.count(Verdict.BOTTLENECK) == 0


@pytest.mark.parametrize("offset", range(1, 16))
def test_one_outlier_does_not_change_the_verdict(offset: int) -> None:
    losses = history(FALLING, FALLING, 30)
    with_outlier = [Losses(e, training, 50.0 if e == 15 + offset else validation) for e, training, validation in losses]
    assert diagnose(with_outlier).verdict is Verdict.LEARNING


def test_the_scale_of_the_loss_does_not_matter() -> None:
    losses = history(FALLING, FLAT, 20, 0.02)
    for factor in (1e-12, 1e12):
        scaled = [Losses(e, training * factor, (validation or 0) * factor) for e, training, validation in losses]
        assert diagnose(scaled).verdict is Verdict.OVERFITTING


def test_a_loss_that_is_tiny_compared_with_its_range_is_flat() -> None:
    fallen = [Losses(e, 2.3 / 10**e, 0.5) for e in range(1, 30)]
    assert diagnose(fallen).movements[0].trend is Trend.FLAT
    assert diagnose(fallen).verdict is Verdict.BOTTLENECK


def test_epochs_before_the_window_do_not_count() -> None:
    assert diagnose(history(lambda t: max(0.2, 2 - 4 * t), lambda t: max(0.3, 2 - 4 * t), 60)).verdict is (
        Verdict.BOTTLENECK
    )
    assert diagnose(history(FALLING, lambda t: 1 - t if t < 0.5 else t, 60)).verdict is Verdict.OVERFITTING


@pytest.mark.parametrize(
    ("training", "verdicts"),
    [
        ("learning", {Verdict.LEARNING: 5}),
        ("noisy_labels", {Verdict.LEARNING: 5}),
        ("small_data", {Verdict.LEARNING: 5, Verdict.OVERFITTING: 21}),
        ("bottleneck", {Verdict.BOTTLENECK: 5}),
        ("too_large_rate", {Verdict.DIVERGING: 1}),
    ],
)
def test_real_trainings_are_diagnosed_after_each_epoch(training: str, verdicts: dict[Verdict, int]) -> None:
    """`verdicts` holds each verdict with the first epoch after which it is given; there is no other in between."""
    pairs = REAL[training]["losses"]
    losses = [
        Losses(e, *(math.nan if loss is None else loss for loss in pair)) for e, pair in enumerate(pairs, start=1)
    ]
    after_each_epoch = [diagnose(losses[:count]).verdict for count in range(1, len(losses) + 1)]
    changes = {
        verdict: e
        for e, verdict in enumerate(after_each_epoch, start=1)
        if e == 1 or after_each_epoch[e - 2] is not verdict
    }
    assert changes == ({} if after_each_epoch[0] is Verdict.DIVERGING else {Verdict.TOO_EARLY: 1}) | verdicts


@pytest.mark.parametrize("epochs", range(MIN_EPOCHS))
def test_with_too_few_epochs_it_is_too_early(epochs: int) -> None:
    diagnosis = diagnose(history(FALLING, FALLING, epochs))
    assert (diagnosis.verdict, diagnosis.movements, diagnosis.first_epoch, diagnosis.last_epoch) == (
        Verdict.TOO_EARLY,
        [],
        None,
        None,
    )


def test_without_validation_there_is_evidence_but_no_rule() -> None:
    diagnosis = diagnose(history(FALLING, None, 10))
    assert diagnosis.verdict is Verdict.NO_VALIDATION
    assert [(movement.metric, movement.trend) for movement in diagnosis.movements] == [("loss", Trend.FALLING)]


def test_epochs_that_were_not_validated_are_left_out() -> None:
    every_third = [
        losses if losses.epoch % 3 == 0 else losses._replace(validation=None) for losses in history(FALLING, FLAT, 30)
    ]
    diagnosis = diagnose(every_third)
    assert diagnosis.verdict is Verdict.OVERFITTING
    assert (diagnosis.first_epoch, diagnosis.last_epoch) == (18, 30)
    assert diagnose(every_third[:14]).verdict is Verdict.TOO_EARLY


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_diverging_at_once(bad: float) -> None:
    for last in (Losses(2, bad, 1.0), Losses(2, 1.0, bad), Losses(2, bad, None)):
        diagnosis = diagnose([Losses(1, 1.0, 1.0), last])
        assert (diagnosis.verdict, diagnosis.first_epoch, diagnosis.last_epoch) == (Verdict.DIVERGING, 2, 2)


def test_a_loss_that_was_infinite_for_one_epoch_is_left_out() -> None:
    losses = history(FALLING, FALLING, 12)
    losses[8] = losses[8]._replace(validation=math.inf)
    assert diagnose(losses).verdict is Verdict.LEARNING


def test_the_evidence_describes_the_losses() -> None:
    diagnosis = diagnose([Losses(e, 10.0 - e / 10, 8.0) for e in range(1, 11)])
    assert (diagnosis.first_epoch, diagnosis.last_epoch) == (6, 10)
    training, validation = diagnosis.movements
    assert training.slope == pytest.approx(-0.1)
    assert training.low <= training.slope <= training.high < 0
    assert training.change == pytest.approx(-0.4 / 9.2)
    assert (validation.slope, validation.change) == (0, 0)


@given(
    st.lists(
        st.tuples(
            st.floats(width=32), st.none() | st.floats(width=32) | st.sampled_from([0.0, 1.0, 1e-45, 3.4e38])
        ),
        max_size=60,
    )
)  # fmt: skip
def test_every_history_has_a_diagnosis_that_json_can_represent(losses: list[tuple[float, float | None]]) -> None:
    diagnosis = diagnose([Losses(e, *pair) for e, pair in enumerate(losses, start=1)])
    assert Diagnosis.model_validate_json(diagnosis.model_dump_json()) == diagnosis
    for movement in diagnosis.movements:
        assert movement.low <= movement.slope <= movement.high
        assert math.isfinite(movement.change)


@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=MIN_EPOCHS, max_size=50))
def test_epochs_beyond_the_history_limit_do_not_matter(losses: list[tuple[float, float]]) -> None:
    all_losses = [Losses(e, *pair) for e, pair in enumerate(losses * 9, start=1)]
    assert diagnose(all_losses[-HISTORY:]) == diagnose(all_losses)


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_has_texts_in_each_language(verdict: Verdict) -> None:
    for summary, advice in (texts[verdict] for texts in TEXTS.values()):
        assert summary
        assert advice or verdict is Verdict.TOO_EARLY
    assert any("\u4e00" <= character <= "\u9fff" for character in TEXTS["zh"][verdict][0])


def test_the_texts_are_available_in_chinese() -> None:
    diagnosis = diagnose(history(FALLING, FLAT, 10), "zh")
    assert diagnosis.verdict is Verdict.OVERFITTING
    assert "过拟合" in diagnosis.summary
    assert "正则化" in diagnosis.advice


@pytest.mark.parametrize(
    ("last", "nan_weights"),
    [(Losses(6, math.nan, 1.0), False), (Losses(6, 1.0, math.inf), False), (Losses(6, 1.0, 1.0), True)],
)
@pytest.mark.parametrize("language", TEXTS)
def test_what_is_not_finite_is_explained_by_the_data(last: Losses, nan_weights: bool, language: Language) -> None:
    losses = [*history(FALLING, FALLING, 5), last]
    without_a_cause = diagnose(losses, language, nan_weights=nan_weights)
    assert without_a_cause.summary == TEXTS[language][Verdict.DIVERGING][0]
    explained = diagnose(losses, language, nan_weights=nan_weights, non_finite_data=["The array 'x' has NaN."])
    assert explained.verdict is without_a_cause.verdict is Verdict.DIVERGING
    assert "The array 'x' has NaN." in explained.summary
    assert explained.advice != without_a_cause.advice


def test_finite_losses_are_not_explained_by_the_data() -> None:
    losses = history(FALLING, FALLING, 20)
    assert diagnose(losses, non_finite_data=["The array 'x' has NaN."]) == diagnose(losses)
