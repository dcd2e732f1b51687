"""Words for the numbers that JSON lacks. Python's `float` and JavaScript's `Number` read them."""

import math
from typing import Literal

NonFinite = Literal["NaN", "Infinity", "-Infinity"]


def word_of(value: float) -> NonFinite | None:
    """Return the word for NaN and for the infinities; None for a finite number."""
    if math.isfinite(value):
        return None
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
