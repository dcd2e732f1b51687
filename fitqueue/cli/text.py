"""Numbers, sizes, times and names as people read them. Pure functions."""

from datetime import datetime


def printable(text: str) -> str:
    """Return the text with control characters escaped: names and logs are other people's, and terminals obey those."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def number(value: float | None) -> str:
    """Format a metric with four significant digits; None, which stands for NaN or infinity, becomes `nan`."""
    if value is None:
        return "nan"
    return f"{value:.4g}"


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


def between(start: datetime | None, end: datetime | None) -> str:
    """Format the time between two moments; empty if one of them is missing."""
    return duration((end - start).total_seconds()) if start and end else ""


def local_time(moment: datetime | None) -> str:
    """Format a moment in local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def age(moment: datetime, now: datetime) -> str:
    """Format how long ago a moment was, roughly: `8 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
