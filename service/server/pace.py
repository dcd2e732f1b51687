"""The slowest that a client may send a body or read an answer, while a thread waits for it."""

import errno
import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from typing_extensions import Buffer

STALL_SECONDS: Final = 30.0
"""How long a thread waits for a client that does not move at all."""

MIN_BYTES_PER_SECOND: Final = 4096
"""A client that moves this many bytes a second may take as long as it needs."""


class TooSlow(ConnectionResetError):
    """The client sends or reads too slowly. gunicorn handles it like a connection that the client has reset."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "The client is too slow")


class Pace:
    """The seconds that a client may still let a thread wait: they pass while it waits, and grow with every byte."""

    def __init__(self, seconds: float, bytes_per_second: float = MIN_BYTES_PER_SECOND) -> None:
        self.seconds_left = seconds
        self._bytes_per_second = bytes_per_second

    def advance(self, waited: float, moved: int) -> None:
        """Count what one call has waited and moved. What a fast client saves up is limited to what it began with."""
        earned = moved / self._bytes_per_second
        self.seconds_left = min(STALL_SECONDS, self.seconds_left - waited + earned)


class PacedSocket(socket.socket):
    """The socket of a connection. A blocking call raises TooSlow when the client does not keep the pace."""

    def begin_request(self) -> None:
        self._reading, self._writing = Pace(STALL_SECONDS), Pace(STALL_SECONDS)

    def begin_to_drain(self, seconds: float) -> None:
        """Let reading wait for no more than this from now on, however much arrives."""
        self._reading = Pace(seconds, bytes_per_second=math.inf)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.gettimeout() == 0:
            return super().recv(size, flags)
        with self._limited(self._reading):
            began = time.monotonic()
            chunk = super().recv(size, flags)
        self._reading.advance(time.monotonic() - began, len(chunk))
        return chunk

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        if self.gettimeout() == 0:
            super().sendall(data, flags)
            return
        left = memoryview(data)
        while left:
            with self._limited(self._writing):
                began = time.monotonic()
                sent = self.send(left, flags)
            self._writing.advance(time.monotonic() - began, sent)
            left = left[sent:]

    @contextmanager
    def _limited(self, pace: Pace) -> Iterator[None]:
        """Let the call inside wait for as long as the pace allows, or for the socket's own timeout if that is less.

        Raises:
            TooSlow: the client does not keep the pace.
            TimeoutError: the socket's own timeout is over.
        """
        own = self.gettimeout()
        if pace.seconds_left <= 0:
            raise TooSlow
        self.settimeout(pace.seconds_left if own is None else min(own, pace.seconds_left))
        try:
            yield
        except TimeoutError:
            if own is not None and own < pace.seconds_left:
                raise
            raise TooSlow from None
        finally:
            self.settimeout(own)
