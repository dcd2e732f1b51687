"""Text operations that several parts need: truncation and the removal of terminal colours. Pure functions."""

import re
from typing import Final

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def truncate(text: str, length: int, *, tail: int = 0) -> str:
    """Return `text` in at most `length` characters, with an ellipsis where something was left out.

    Args:
        length: the most characters that the result has, the ellipsis included.
        tail: how many of the last characters to keep after the ellipsis.
    """
    if len(text) <= length:
        return text
    return f"{text[: length - tail - 1]}…{text[len(text) - tail :]}"


def strip_ansi(text: str) -> str:
    """Return `text` without ANSI control sequences (ECMA-48), such as colours."""
    return _ANSI.sub("", text)


def non_finite_text(nan: int, infinite: int, size: int) -> str:
    """Return how many of the values of an array are not finite, in words: «NaN in 1 of 256 values»."""
    kinds = " and ".join(f"{kind} in {count:,}" for kind, count in (("NaN", nan), ("infinity", infinite)) if count)
    return f"{kinds} of {size:,} values"
