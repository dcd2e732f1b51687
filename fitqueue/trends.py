"""The trend of a noisy series: its median slope, and a confidence interval for it.

The slope is the median of the slopes between all pairs of points, and its interval follows from Kendall's rank
statistic: P. K. Sen, Estimates of the Regression Coefficient Based on Kendall's Tau, 1968. Outliers in one epoch of
five move neither, and the only assumption about the noise is that it is independent from epoch to epoch.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from statistics import median
from typing import Final, NamedTuple

Point = tuple[int, float]
"""An epoch and a finite value. Epochs ascend, and may have gaps."""

Z_90_PERCENT: Final = 1.645

FLAT_BELOW: Final = 0.02
"""A series that changes by less than this share of its median over the window is flat, however certain the change."""

UNCLEAR_ABOVE: Final = 0.25
"""Where noise could hide a change of more than this share, calling the series flat would be a guess."""

LAGS_BELOW: Final = 0.25
"""One loss stands still while another one falls, only if it certainly falls by less than this share of the other."""

SMALLEST_SCALE: Final = 0.01
"""The least value to compare changes with, as a share of the range that the series has covered. A loss that fell from
2.3 to 0.0002 and then halves does not move, to anybody who looks at its curve."""


class Trend(StrEnum):
    """The direction in which a series moves."""

    FALLING = "falling"
    FLAT = "flat"
    RISING = "rising"
    UNCLEAR = "unclear"


class Movement(NamedTuple):
    """How a series moves.

    Attributes:
        slope: the change per epoch.
        low: the lower bound of the slope.
        high: the upper bound of the slope.
        change: the change over all points, as a share of their median.
        lowest: the lower bound of the change.
        highest: the upper bound of the change.
    """

    trend: Trend
    slope: float
    low: float
    high: float
    change: float
    lowest: float
    highest: float

    def lags_behind(self, other: "Movement") -> bool:
        """Tell whether it certainly fell by less than a quarter of what another one fell."""
        return self.lowest > LAGS_BELOW * other.change

    def follow(self, other: "Movement") -> "Movement":
        """Return this movement with the trend of the other one, if it certainly has the same direction.

        A change that is small on its own means something if the other loss makes it, too.
        """
        falls_along = other.trend is Trend.FALLING and self.highest < 0
        rises_along = other.trend is Trend.RISING and self.lowest > 0
        return self._replace(trend=other.trend) if falls_along or rises_along else self


def measure_movement(points: Sequence[Point], value_range: float) -> Movement:
    """Return how the points move.

    Args:
        points: two at least.
        value_range: the range of values that the whole series has covered, the time before the points included.
    """
    slopes = sorted((after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(points, 2))
    outside = _slopes_outside_interval(len(points))
    slope, low, high = median(slopes), slopes[outside], slopes[-1 - outside]
    scale = max(median(abs(value) for _, value in points), SMALLEST_SCALE * value_range)
    epochs = points[-1][0] - points[0][0]
    change, lowest, highest = (rate * epochs / scale if scale > 0 else 0.0 for rate in (slope, low, high))
    return Movement(_classify(change, lowest, highest), slope, low, high, change, lowest, highest)


def _slopes_outside_interval(count: int) -> int:
    """Return how many of the sorted slopes between `count` points lie outside of the interval, at each of its ends."""
    spread = Z_90_PERCENT * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return max(0, int((count * (count - 1) / 2 - spread) / 2))


def _classify(change: float, low: float, high: float) -> Trend:
    if low <= 0 <= high:
        return Trend.UNCLEAR if max(-low, high) > UNCLEAR_ABOVE else Trend.FLAT
    if abs(change) < FLAT_BELOW:
        return Trend.FLAT
    return Trend.FALLING if change < 0 else Trend.RISING
