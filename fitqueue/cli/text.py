"""Numbers, sizes, times and names as people read them. Pure functions."""

from datetime import datetime

from fitqueue.text import about as about
from fitqueue.text import duration as duration
from fitqueue.text import estimate as estimate
from fitqueue.text import number as number
from fitqueue.text import printable as printable


def size(count: int | None) -> str:
    """Format a number of bytes with a decimal unit: `999 B`, `1.5 MB`."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def between(start: datetime | None, end: datetime | None) -> str:
    """Format the time between two moments; empty if one of them is missing."""
    return duration((end - start).total_seconds()) if start and end else ""


def local_time(moment: datetime | None) -> str:
    """Format a moment in local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def time_and_name(moment: datetime | None, name: str | None) -> str:
    """Format when something was done, and by whom if that is known."""
    return f"{local_time(moment)} by {name}" if moment and name else local_time(moment)


def age(moment: datetime, now: datetime) -> str:
    """Format how long ago a moment was, roughly: `8 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
