"""Curves as text, for terminals and logs. Pure functions."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from fitqueue.pictures.curves import Point, segments

HEIGHT: Final = 10
_MIN_WIDTH: Final = 16

Marked = Mapping[str, Sequence[Point]]
"""Curves, each by the character that draws it."""


def text_plot(curves: Marked, width: int, height: int = HEIGHT) -> list[str]:
    """Return curves in lines of at most this width; none if no value is finite. Where two meet, the first is seen.

    Args:
        curves: the curves by the characters that draw them; their epochs ascend.
        width: how many characters a line may have.
        height: how many lines the curves have; one more has the epochs.
    """
    finite = [point for points in curves.values() for point in points if point.is_finite]
    if not finite:
        return []
    low, high = (bound(point.value for point in finite) for bound in (min, max))
    first, last = (bound(point.epoch for point in finite) for bound in (min, max))
    labels = _labels(low, high, height)
    indent = max(map(len, labels)) + 2
    columns = max(_MIN_WIDTH, width - indent)
    grid = [[" "] * columns for _ in range(height)]
    for mark, points in reversed(list(curves.items())):
        for segment in segments(points):
            for x, value in _columns(segment, first, last, columns):
                grid[_row(value, low, high, height)][x] = mark
    lines = [f"{label:>{indent - 2}} │{''.join(row)}".rstrip() for label, row in zip(labels, grid, strict=True)]
    return [*lines, " " * indent + _epochs(first, last, columns)]


def _labels(low: float, high: float, height: int) -> list[str]:
    labels = [""] * height
    labels[0] = f"{high:.4g}"
    labels[-1] = f"{low:.4g}"
    return labels


def _columns(segment: Sequence[Point], first: int, last: int, columns: int) -> list[tuple[int, float]]:
    """Return the values of a stretch without gaps at the columns of the grid, between epochs on straight lines."""
    scale = (columns - 1) / max(1, last - first)
    places = [((point.epoch - first) * scale, point.value) for point in segment]
    values = [(round(x), value) for x, value in places]
    for (x, value), (next_x, next_value) in pairwise(places):
        for column in range(round(x) + 1, round(next_x)):
            values.append((column, value + (next_value - value) * (column - x) / (next_x - x)))
    return values


def _row(value: float, low: float, high: float, height: int) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return round((1 - share) * (height - 1))


def _epochs(first: int, last: int, columns: int) -> str:
    if first == last:
        return f"epoch {first}"
    begin, end = f"epoch {first}", str(last)
    return begin + end.rjust(columns - len(begin))
