"""Between which numbers the values of an array lie, before and after the steps that prepare it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.spec.data import PrepareStep

_INTEGERS: Final[Mapping[str, tuple[int, int]]] = {
    f"{kind}{bits}": ((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind == "int" else (0, 2**bits - 1))
    for kind in ("int", "uint")
    for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True)
class Range:
    """The lowest and the highest value, both of which are there; `whole`: all are whole numbers, as labels are."""

    low: float
    high: float
    whole: bool = True

    def __or__(self, other: "Range") -> "Range":
        return Range(min(self.low, other.low), max(self.high, other.high), self.whole and other.whole)

    def __str__(self) -> str:
        return f"{self.low:.10g} to {self.high:.10g}"


def ranges_before(first: Range | None, steps: Sequence[PrepareStep]) -> list[Range | None]:
    """The range that each step finds, and last the one that all of them leave. None: it cannot be told."""
    found = [first]
    for step in steps:
        last = found[-1]
        found.append(_after(last, step) if last is not None else None)
    return found


def _after(values: Range, step: PrepareStep) -> Range | None:
    if step.scale is not None:
        low, high = sorted((values.low * step.scale, values.high * step.scale))
        return Range(low, high, values.whole and step.scale.is_integer())
    if step.offset is not None:
        return Range(values.low + step.offset, values.high + step.offset, values.whole and step.offset.is_integer())
    if step.reshape is not None:
        return values
    if step.astype is not None:
        return _as_type(values, step.astype)
    return None  # rows of zeros and ones are no labels any more, and what sequences lose by padding is not known


def _as_type(values: Range, dtype: str) -> Range | None:
    if dtype == "bool":
        return Range(0, 1) if values.low < 0 or values.high > 0 else Range(0, 0)
    if dtype not in _INTEGERS:
        return values
    low, high = _INTEGERS[dtype]
    cut = Range(math.trunc(values.low), math.trunc(values.high))
    return cut if low <= cut.low and cut.high <= high else None  # else they begin again at the other end
