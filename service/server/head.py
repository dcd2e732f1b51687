"""The head of a request, its request line and header fields, while it arrives."""

import re
from typing import Final

from fitqueue.errors import FitQueueError, HeadersTooLarge, MalformedRequest, URITooLong

MAX_BYTES: Final = 65_536

_END: Final = b"\r\n\r\n"
_BARE_NEWLINE: Final = re.compile(rb"(?<!\r)\n")


class Head:
    """What has arrived of a request, until it can be parsed without waiting: then its head is complete."""

    def __init__(self) -> None:
        self._content = bytearray()
        self.is_complete = False
        self.fault: FitQueueError | None = None
        """Why it will never be complete."""

    def __bool__(self) -> bool:
        """Whether anything has arrived."""
        return bool(self._content)

    def add(self, chunk: bytes) -> None:
        """Append what has arrived. Only the new bytes are searched, so many small packets cost no more than one."""
        searched = len(self._content)
        self._content += chunk
        self.is_complete = self._content.find(_END, max(0, searched - len(_END) + 1)) >= 0
        if not self.is_complete:
            self.fault = self._find_fault(searched)

    def take(self) -> bytes:
        """Return what has arrived, and begin anew."""
        content = bytes(self._content)
        self._content.clear()
        self.is_complete = False
        return content

    def asks_for(self, path: str) -> bool:
        """Tell whether it is a GET or HEAD request for exactly this path."""
        line = bytes(self._content[: len(path) + len("HEAD  ")])
        return any(line.startswith(f"{method} {path} ".encode()) for method in ("GET", "HEAD"))

    def _find_fault(self, searched: int) -> FitQueueError | None:
        if _BARE_NEWLINE.search(self._content, searched):
            return MalformedRequest("A line of the request's head does not end with CRLF.")
        if len(self._content) <= MAX_BYTES:
            return None
        return HeadersTooLarge() if b"\n" in self._content else URITooLong()
