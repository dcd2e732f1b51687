"""A stored file that can be read anywhere, in ranges, wherever it is stored."""

import io
from collections.abc import Callable
from typing import Final

ReadRange = Callable[[int, int], bytes]
"""Returns the bytes of a file from a position on, at most that many."""

_FIRST_BYTES: Final = 64 * 1024
_MOST_BYTES: Final = 4 * 1024**2
_GAP: Final = 1024**2
"""To pass over fewer bytes than this takes less time than another request to a bucket."""


def seekable(read_range: ReadRange, size: int) -> io.BufferedReader:
    """Return a file of this size. Its `read` returns as many bytes as were asked for, unless the file ends."""
    return io.BufferedReader(_StoredFile(read_range, size), _FIRST_BYTES)


class _StoredFile(io.RawIOBase):
    """Fetches blocks: small ones where somebody seeks, and larger ones the longer somebody reads on."""

    def __init__(self, read_range: ReadRange, size: int) -> None:
        super().__init__()
        self._read_range = read_range
        self._size = size
        self._position = 0
        self._block = b""
        self._block_start = 0
        self._next_bytes = _FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"the file cannot be read {-start - offset} bytes before its beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override] # typeshed has any buffer
        if not self._has(self._position):
            self._fetch()
        start = self._position - self._block_start
        data = self._block[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _has(self, position: int) -> bool:
        return self._block_start <= position < self._block_start + len(self._block)

    def _fetch(self) -> None:
        """Fetch the block at the position; an empty one at the end of the file."""
        passed_over = self._position - (self._block_start + len(self._block))
        reads_on = bool(self._block) and 0 <= passed_over < _GAP
        self._next_bytes = min(2 * self._next_bytes, _MOST_BYTES) if reads_on else _FIRST_BYTES
        length = min(self._next_bytes, self._size - self._position)
        self._block = self._read_range(self._position, length) if length > 0 else b""
        self._block_start = self._position
