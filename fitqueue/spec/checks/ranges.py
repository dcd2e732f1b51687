"""The range of an array's values, before and after the steps that prepare it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.fields.data import PrepareStep

_INTEGER_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    f"{kind}{bits}": ((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind == "int" else (0, 2**bits - 1))
    for kind in ("int", "uint")
    for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True)
class Range:
    """The lowest and the highest value of an array. `integral`: all values are integers, as labels are."""

    low: float
    high: float
    integral: bool = True

    def __or__(self, other: "Range") -> "Range":
        return Range(min(self.low, other.low), max(self.high, other.high), self.integral and other.integral)

    def __str__(self) -> str:
        return f"{self.low:.10g} to {self.high:.10g}"


def stored_range(array: ArrayInfo) -> Range | None:
    """Return the range of an array's values as they are stored; None if it is unknown, or if some are not finite."""
    values = array.values
    if values is None or values.low is None or values.high is None or not values.are_finite:
        return None
    return Range(values.low, values.high, values.integral)


def ranges_before(first: Range | None, steps: Sequence[PrepareStep]) -> list[Range | None]:
    """Return the range of the values before each step and, as the last item, after all of them; None if unknown."""
    ranges = [first]
    for step in steps:
        before = ranges[-1]
        ranges.append(_range_after(before, step) if before is not None else None)
    return ranges


def _range_after(values: Range, step: PrepareStep) -> Range | None:
    if step.scale is not None:
        low, high = sorted((values.low * step.scale, values.high * step.scale))
        return Range(low, high, values.integral and step.scale.is_integer())
    if step.offset is not None:
        return Range(values.low + step.offset, values.high + step.offset, values.integral and step.offset.is_integer())
    if step.reshape is not None:
        return values
    if step.astype is not None:
        return _range_as(values, step.astype)
    return None  # rows of zeros and ones are no longer labels, and padding may cut off any value


def _range_as(values: Range, dtype: str) -> Range | None:
    if dtype == "bool":
        return Range(0, 1) if values.low < 0 or values.high > 0 else Range(0, 0)
    if dtype not in _INTEGER_RANGES:
        return values
    low, high = _INTEGER_RANGES[dtype]
    truncated = Range(math.trunc(values.low), math.trunc(values.high))
    in_range = low <= truncated.low and truncated.high <= high
    return truncated if in_range else None  # values outside of the dtype's range wrap around
