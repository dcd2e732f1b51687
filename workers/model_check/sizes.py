"""Sizes in bytes."""

import re


def item_bytes(dtype: str) -> int:
    """Return the bytes of one value: 4 for `float32`, 1 for `float8_e4m3fn` and `bool`."""
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits.group()) // 8) if bits else 1
