"""Numbers, times and names as people read them. Pure functions."""

from datetime import datetime


def printable(text: str) -> str:
    """The text with control characters spelled out: names and logs are other people's, and a terminal obeys those."""
    return "".join(each if each.isprintable() or each in "\n\t" else _spelled(each) for each in text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def number(value: float | None) -> str:
    """A metric with four significant digits; what was NaN or infinite reads `nan`."""
    if value is None:
        return "nan"
    return f"{value:.4g}"


def size(count: int | None) -> str:
    """Bytes with a decimal unit: `999 B`, `1.5 MB`."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3:07`, `1:02:03`."""
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
    return duration((end - start).total_seconds()) if start and end else ""


def moment(at: datetime | None) -> str:
    """Local time, to the second."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def age(at: datetime, now: datetime) -> str:
    """How long ago, roughly: `8 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0, int((now - at).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
