"""How often a diagnosis is wrong, in trainings whose truth is known because they are simulated."""

from collections.abc import Callable
from functools import cache

import pytest

from fitqueue.advice import Verdict
from fitqueue.diagnosis import Losses, diagnose
from tests.unit.fitqueue.simulated_trainings import Training, simulate

SEEDS = range(100_000, 104_000)
"""Not the seeds with which the thresholds were chosen."""

TOLERABLE = {Verdict.UNCLEAR, Verdict.TOO_EARLY}
RIGHT = {
    "finished": {Verdict.BOTTLENECK, Verdict.CONVERGED} | TOLERABLE,
    "falling": {Verdict.LEARNING} | TOLERABLE,
    "overfitting": {Verdict.OVERFITTING, Verdict.CONVERGED} | TOLERABLE,
    "diverging": {Verdict.DIVERGING} | TOLERABLE,
}
"""The verdicts that are not wrong. Where EarlyStopping ended an overfitting training in time, it is over as well."""


@cache
def results() -> list[tuple[Training, Verdict]]:
    """Return the trainings of at least 5 epochs whose truth is clear, with their verdicts."""
    trainings = [training for training in map(simulate, SEEDS) if training.truth in RIGHT]
    pairs = [(training, verdict_of(training)) for training in trainings]
    return [(training, verdict) for training, verdict in pairs if verdict is not Verdict.TOO_EARLY]


def verdict_of(training: Training) -> Verdict:
    losses = [Losses(epoch, *pair) for epoch, pair in enumerate(training.losses, start=1)]
    rate_share = training.rates[-1] / max(training.rates)
    return diagnose(losses, early_stopped=training.early_stopped, rate_share=rate_share).verdict


def share(verdicts: set[Verdict], condition: Callable[[Training], bool]) -> float:
    """Return how large a share of the trainings that meet a condition has one of the verdicts."""
    given = [verdict for training, verdict in results() if condition(training)]
    assert len(given) >= 100
    return sum(verdict in verdicts for verdict in given) / len(given)


@pytest.mark.parametrize("truth", RIGHT)
def test_fewer_than_one_verdict_in_ten_is_wrong(truth: str) -> None:
    assert share(set(Verdict) - RIGHT[truth], lambda training: training.truth == truth) < 0.1


@pytest.mark.parametrize("patience", [2, 5, 10])
def test_jobs_that_early_stopping_ended_in_time_are_seldom_called_learning(patience: int) -> None:
    def ended(training: Training) -> bool:
        return training.truth == "finished" and training.early_stopped and training.plan.patience == patience

    assert share({Verdict.LEARNING}, ended) < 0.02
    assert share(set(Verdict) - RIGHT["finished"], ended) < 0.1


def test_fewer_than_one_training_in_a_hundred_whose_losses_fall_is_called_overfitting() -> None:
    assert share({Verdict.OVERFITTING}, lambda training: training.truth == "falling") < 0.01


def test_most_trainings_get_the_right_verdict_and_not_merely_a_tolerable_one() -> None:
    def is_long(training: Training) -> bool:
        return not training.early_stopped or training.plan.patience != 2

    falling = share({Verdict.LEARNING}, lambda training: training.truth == "falling" and not training.early_stopped)
    finished = share(
        {Verdict.BOTTLENECK, Verdict.CONVERGED}, lambda training: training.truth == "finished" and is_long(training)
    )
    overfitting = share({Verdict.OVERFITTING}, lambda training: training.truth == "overfitting" and is_long(training))
    diverging = share({Verdict.DIVERGING}, lambda training: training.truth == "diverging")
    assert min(falling, finished, diverging) > 0.8
    assert overfitting > 0.7
