"""Simulated trainings with a known truth, to measure how often a diagnosis is wrong.

A training is a descent to a floor, different for the two losses, with noise. The learning rate sets the pace of the
descent and adds a little to both losses, so that a reduction lets them drop. EarlyStopping and ReduceLROnPlateau watch
the noisy validation loss, as Keras's do. The truth comes from the curves without noise, which a diagnosis never sees.
"""

import math
import random
from dataclasses import dataclass, field
from typing import Final

MOST_EPOCHS: Final = 100


@dataclass(frozen=True)
class Curves:
    """The losses of a training without noise, as functions of how far it has come (in time constants)."""

    training_floor: float
    training_height: float
    validation_floor: float
    validation_height: float
    rate_term: float
    overfits_from: float = math.inf
    overfits_by: float = 0.0
    grows_by: float = 0.0

    def at(self, progress: float, rate: float) -> tuple[float, float]:
        """Return training loss and validation loss."""
        descent, growth = math.exp(-progress), math.exp(self.grows_by * progress)
        overfitting = self.overfits_by * max(0.0, progress - self.overfits_from)
        training = self.training_floor + self.training_height * descent + self.rate_term * rate
        validation = self.validation_floor + self.validation_height * descent + self.rate_term * rate + overfitting
        return training * growth, validation * growth


@dataclass(frozen=True)
class Plan:
    """How a training proceeds: its pace per epoch, its noise (a share of each loss), its callbacks."""

    pace: float
    training_noise: float
    validation_noise: float
    epochs: int
    patience: int | None = None
    reduce_patience: int | None = None


@dataclass
class Training:
    """What a diagnosis sees, and the curves without noise."""

    plan: Plan
    losses: list[tuple[float, float]] = field(default_factory=list)
    smooth: list[tuple[float, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    early_stopped: bool = False
    future: tuple[float, float] = (0.0, 0.0)
    """The least of either loss, without noise, in half as many epochs more."""

    @property
    def truth(self) -> str:
        """Return what is the case, or `ambiguous` if experts could disagree."""
        window = self.smooth[-min(max(len(self.smooth) // 2, 5), 20) :]
        (training_then, validation_then), (training, validation) = window[0], window[-1]
        gain, training_gain = 1 - self.future[1] / validation, 1 - self.future[0] / training
        lowest = min(value for _, value in self.smooth)
        if training > 1.05 * training_then and validation > 1.05 * validation_then:
            return "diverging"
        if validation > 1.03 * lowest:
            return "overfitting" if training < 0.95 * training_then else "ambiguous"
        if gain > 0.03 and training_gain > 0.03 and validation < 0.98 * validation_then:
            return "falling"
        if gain < 0.01 and training_gain < 0.01:
            return "finished"
        return "ambiguous"


def simulate(seed: int) -> Training:
    """Return a training whose curves, noise and callbacks are drawn at random."""
    draw = random.Random(seed)
    return run(*_draw(draw), draw)


def _draw(draw: random.Random) -> tuple[Curves, Plan]:
    scale = 10 ** draw.uniform(-3, 3)
    floor = draw.uniform(0.02, 0.6)
    gap = draw.uniform(0.7, 0.95) if draw.random() < 0.2 else draw.uniform(1.0, 2.5)
    height = draw.uniform(0.2, 2.5)
    kind = draw.choice(["plain", "plain", "plain", "overfits", "grows", "stuck"])
    curves = Curves(
        training_floor=scale * floor,
        training_height=0 if kind == "stuck" else scale * height,
        validation_floor=scale * floor * gap,
        validation_height=0 if kind == "stuck" else scale * height * draw.uniform(0.3, 1.0),
        rate_term=scale * floor * draw.uniform(0, 0.15),
        overfits_from=draw.uniform(1, 4) if kind == "overfits" else math.inf,
        overfits_by=scale * floor * draw.uniform(0.05, 0.5) if kind == "overfits" else 0,
        grows_by=draw.uniform(0.2, 1.0) if kind == "grows" else 0,
    )
    return curves, Plan(
        pace=10 ** draw.uniform(-1.7, 0),
        training_noise=10 ** draw.uniform(-3.3, -1.7),
        validation_noise=10 ** draw.uniform(-3, -1.1),
        epochs=draw.randint(5, 60),
        patience=draw.choice([None, 2, 2, 5, 5, 10]),
        reduce_patience=draw.choice([None, None, 2, 5]),
    )


def run(curves: Curves, plan: Plan, draw: random.Random) -> Training:
    """Return the training that follows the curves until its epochs are over, or EarlyStopping ends it."""
    training, rate, progress = Training(plan), 1.0, 0.0
    best, waited, waited_to_reduce = math.inf, 0, 0
    # With EarlyStopping, people leave room: the number of epochs seldom ends the job.
    for _ in range(MOST_EPOCHS if plan.patience else plan.epochs):
        smooth = curves.at(progress, rate)
        noisy = (
            smooth[0] * (1 + draw.gauss(0, plan.training_noise)),
            smooth[1] * (1 + draw.gauss(0, plan.validation_noise)),
        )
        training.smooth.append(smooth)
        training.losses.append(noisy)
        training.rates.append(rate)
        improved = noisy[1] < best
        best = min(best, noisy[1])
        waited = 0 if improved else waited + 1
        waited_to_reduce = 0 if improved else waited_to_reduce + 1
        progress += plan.pace * rate
        if plan.patience and waited >= plan.patience:
            training.early_stopped = True
            break
        if plan.reduce_patience and waited_to_reduce >= plan.reduce_patience:
            rate, waited_to_reduce = rate * 0.1, 0
    more = range(1, max(5, len(training.losses) // 2) + 1)
    ahead = [curves.at(progress + plan.pace * rate * epoch, rate) for epoch in more]
    training.future = (min(value for value, _ in ahead), min(value for _, value in ahead))
    return training
