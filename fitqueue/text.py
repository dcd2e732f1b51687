"""Text operations that several parts need: truncation, control characters, numbers, names of files. Pure functions."""

import math
import re
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_MAX_FILE_NAME: Final = 220
"""Bytes of a file name. Most file systems take 255, and a download has a longer name until it is complete."""
_SECONDS_LIMIT: Final = 55.0
"""An estimate from here on is in minutes."""

_UNSAFE_IN_FILE_NAMES: Final = re.compile(r'[/\\<>:"|?*\x00-\x1f\x7f-\x9f\u2028\u2029]')
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


def csv_heading(name: str) -> str:
    """Return a name as the heading of a column: a spreadsheet would run one that begins like a formula."""
    return f"'{name}" if name.startswith(_FORMULA) else name


def local_file_name(name: str) -> str:
    """Return a name for a file on any machine: no folders, no characters that a file system refuses, not too long."""
    safe = _UNSAFE_IN_FILE_NAMES.sub("_", name)
    safe = f"_{safe[1:]}" if safe.startswith(".") else safe
    stem, dot, ending = safe.partition(".")
    while len(safe.encode()) > _MAX_FILE_NAME and len(stem) > 1:
        stem = stem[:-1]
        safe = f"{stem}{dot}{ending}"
    return safe.encode()[:_MAX_FILE_NAME].decode(errors="ignore")


def plural(count: int, noun: str) -> str:
    """Return how many there are of something, whose plural ends with an s: «1 job», «1,200 jobs»."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Return the text with control characters escaped: names and logs are other people's, and terminals obey those."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(character) for character in text
    )


def one_line(text: str) -> str:
    """Return a name on one line, with control characters escaped."""
    return " ".join(printable(text).split())


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def duration(seconds: float | None) -> str:
    """Format a duration: `0.4 s`, `12 s`, `3:07`, `1:02:03`."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def about(seconds: float | None) -> str:
    """Format a duration that is estimated, and so without figures that nobody knows: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return ""
    if seconds < _SECONDS_LIMIT:
        return f"{max(10, 10 * math.ceil(seconds / 10))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def estimate(seconds: float, *, is_upper_bound: bool) -> str:
    """Return an estimated duration in words: `about 12 min`, `at most 12 min`."""
    return f"{'at most' if is_upper_bound else 'about'} {about(seconds)}"


def number(value: float | None) -> str:
    """Format a metric with four significant digits; None, which stands for NaN or infinity, becomes `nan`."""
    if value is None:
        return "nan"
    return f"{value:.4g}"


def keras_number(value: float | None) -> str:
    """Format a metric as Keras's progress bar does; None, which stands for NaN or infinity, becomes `nan`."""
    if value is None:
        return "nan"
    return f"{value:.4f}" if value == 0 or not abs(value) <= 1e-3 else f"{value:.4e}"
