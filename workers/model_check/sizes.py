"""Sizes in bytes."""

import math
import re
from typing import Any


def item_bytes(dtype: str) -> int:
    """Return the bytes of one value: 4 for `float32`, 1 for `float8_e4m3fn` and `bool`."""
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits.group()) // 8) if bits else 1


def value_bytes(value: Any) -> int:
    """Return the bytes of a variable or KerasTensor, with 1 for each length that is unknown."""
    return int(math.prod(length or 1 for length in value.shape) * item_bytes(value.dtype))
