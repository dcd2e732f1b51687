"""Splits what a child prints into lines that can be stored: no control characters, no endless line."""

import re
from typing import Final

from fitqueue.text import strip_ansi

MAX_LINE_LENGTH: Final = 8_192
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LineSplitter:
    """Turns bytes into lines. A progress bar, which redraws itself with carriage returns, leaves its last state."""

    def __init__(self) -> None:
        self._incomplete = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Return the lines that are complete with this chunk."""
        *complete, incomplete = (self._incomplete + chunk).split(b"\n")
        # What a carriage return will overwrite need not be kept, but what follows it must.
        overwritten = incomplete.rfind(b"\r", 0, -1)
        self._incomplete = incomplete[overwritten + 1 :] if overwritten >= 0 else incomplete
        lines = [clean(line) for line in complete]
        if len(self._incomplete) > MAX_LINE_LENGTH:
            lines.append(clean(self._incomplete))
            self._incomplete = b""
        return lines

    def close(self) -> list[str]:
        """Return the last line, if it had no newline."""
        incomplete, self._incomplete = self._incomplete, b""
        return [clean(incomplete)] if incomplete else []


def clean(line: bytes) -> str:
    """Return a line as a terminal would show it, in at most MAX_LINE_LENGTH characters."""
    shown = line.rstrip(b"\r").rpartition(b"\r")[2]
    text = shown.decode("utf-8", errors="replace")
    return _CONTROL_CHARACTERS.sub("", strip_ansi(text))[:MAX_LINE_LENGTH]
