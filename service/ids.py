"""Ids that sort by the time at which they were made."""

import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter that looks like a digit
_TIME_CHARACTERS: Final = 13
_RANDOM_CHARACTERS: Final = 11
ID_PATTERN: Final = f"_[{_ALPHABET}]{{{_TIME_CHARACTERS + _RANDOM_CHARACTERS}}}"
"""What follows the prefix, as a regular expression."""


def new_id(prefix: str) -> str:
    """Return `prefix_` and 24 characters: nanoseconds since 1970, then 55 random bits.

    Lists and the queue are in the order of ids. Two jobs of one process never tie, and the clocks of two API processes
    need to agree only as closely as two people who submit at the same time could tell.
    """
    created_at = _encode(time.time_ns(), _TIME_CHARACTERS)
    return f"{prefix}_{created_at}{_encode(secrets.randbits(5 * _RANDOM_CHARACTERS), _RANDOM_CHARACTERS)}"


def _encode(number: int, length: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))
