"""Cuts what a child prints into lines that can be kept: no control characters, no endless line."""

import re
from typing import Final

MAX_LINE_LENGTH: Final = 8_192
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LineSplitter:
    """Bytes in, whole lines out. A progress bar, drawn over itself by carriage returns, leaves its last state."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        *whole, rest = (self._rest + chunk).split(b"\n")
        # Whatever a carriage return will overwrite need not be kept; what follows it must.
        overwritten = rest.rfind(b"\r", 0, -1)
        self._rest = rest[overwritten + 1 :] if overwritten >= 0 else rest
        lines = [clean(line) for line in whole]
        if len(self._rest) > MAX_LINE_LENGTH:
            lines.append(clean(self._rest))
            self._rest = b""
        return lines

    def end(self) -> list[str]:
        """The last line, if it had no newline."""
        rest, self._rest = self._rest, b""
        return [clean(rest)] if rest else []


def clean(line: bytes) -> str:
    shown = line.rstrip(b"\r").rpartition(b"\r")[2]
    text = shown.decode("utf-8", errors="replace")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))[:MAX_LINE_LENGTH]
