"""The curves of a training: which values belong into one chart, and which of them are drawn. Pure functions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.views import EpochView

MAX_POINTS: Final = 240
"""More points than these cannot be told apart in a chart."""

_PREFIX: Final = "val_"


@dataclass(frozen=True)
class Point:
    """The value of one epoch; NaN where it was not finite."""

    epoch: int
    value: float

    @property
    def is_finite(self) -> bool:
        """Whether it can be drawn."""
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Curve:
    """The values of one metric."""

    label: str
    points: Sequence[Point]

    @property
    def last(self) -> float:
        """The value of the last epoch that has one."""
        return self.points[-1].value


@dataclass(frozen=True)
class Chart:
    """A metric in training and in validation."""

    name: str
    train: Curve | None
    validation: Curve | None

    @property
    def curves(self) -> list[Curve]:
        """The curves that there are."""
        return [curve for curve in (self.train, self.validation) if curve is not None]


def charts_of(epochs: Sequence[EpochView]) -> list[Chart]:
    """Return a chart for each metric, the loss first."""
    points: dict[str, list[Point]] = {}
    for epoch in epochs:
        for name, value in epoch.metrics.items():
            points.setdefault(name, []).append(Point(epoch.epoch, math.nan if value is None else value))
    names = list(dict.fromkeys(name.removeprefix(_PREFIX) for name in points))
    names.sort(key=lambda name: name != "loss")
    return [
        Chart(name, _curve("train", points.get(name)), _curve("validation", points.get(f"{_PREFIX}{name}")))
        for name in names
    ]


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return points that draw the same picture: of each stretch its lowest, its highest and one that is not finite."""
    if len(points) <= MAX_POINTS:
        return points
    size = math.ceil(3 * len(points) / MAX_POINTS)
    stretches = (points[start : start + size] for start in range(0, len(points), size))
    return [point for stretch in stretches for point in _extremes(stretch)]


def segments(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the stretches without a gap."""
    segment: list[Point] = []
    for point in points:
        if point.is_finite:
            segment.append(point)
        elif segment:
            yield segment
            segment = []
    if segment:
        yield segment


def _curve(label: str, points: Sequence[Point] | None) -> Curve | None:
    return Curve(label, points) if points else None


def _extremes(stretch: Sequence[Point]) -> list[Point]:
    finite = [point for point in stretch if point.is_finite]
    kept = [point for point in stretch if not point.is_finite][:1]
    if finite:
        kept += {min(finite, key=lambda point: point.value), max(finite, key=lambda point: point.value)}
    return sorted(kept, key=lambda point: point.epoch)
