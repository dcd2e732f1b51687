"""Where a noisy series goes: its median slope, and between what bounds that slope lies.

The median of the slopes between all pairs of points, and an interval for it from Kendall's rank statistic: P. K. Sen,
Estimates of the Regression Coefficient Based on Kendall's Tau, 1968. One wild epoch in five moves neither, and nothing
is assumed of the noise but that it is independent from epoch to epoch.
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

STILL: Final = 0.02
"""What changes by less than this share of itself over the window stands still, however surely it moves."""

LOUD: Final = 0.25
"""Where noise could hide a change of more than this share, «it stands still» would be a guess."""

FAINT: Final = 0.01
"""Nothing is measured by less than this share of the range that it has covered: a loss that came from 2.3 down to
0.0002 and halves once more does not move, for anybody who looks at its curve."""


class Trend(StrEnum):
    FALLING = "falling"
    FLAT = "flat"
    RISING = "rising"
    UNCLEAR = "unclear"


class Movement(NamedTuple):
    """`slope`, `low` and `high` are changes an epoch; `change` is over all points, as a share of their median."""

    trend: Trend
    slope: float
    low: float
    high: float
    change: float


def movement(points: Sequence[Point], covered: float) -> Movement:
    """How the points move. `covered`: the range of values that the series went through before and in them."""
    slopes = sorted((after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(points, 2))
    beyond = _slopes_beyond(len(points))
    slope, low, high = median(slopes), slopes[beyond], slopes[-1 - beyond]
    scale = max(median(abs(value) for _, value in points), FAINT * covered)
    epochs = points[-1][0] - points[0][0]
    change, lowest, highest = (each * epochs / scale if scale > 0 else 0.0 for each in (slope, low, high))
    return Movement(_trend(change, lowest, highest), slope, low, high, change)


def _slopes_beyond(count: int) -> int:
    """How many of the sorted slopes lie outside of the interval at each of its ends."""
    spread = Z_90_PERCENT * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return max(0, int((count * (count - 1) / 2 - spread) / 2))


def _trend(change: float, low: float, high: float) -> Trend:
    if low <= 0 <= high:
        return Trend.UNCLEAR if max(-low, high) > LOUD else Trend.FLAT
    if abs(change) < STILL:
        return Trend.FLAT
    return Trend.FALLING if change < 0 else Trend.RISING
