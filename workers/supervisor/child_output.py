"""What arrives from a child: messages on its report pipe, and lines on its stdout and stderr."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Final, Literal

from pydantic import ValidationError

from workers.shared.protocol import AnyReport, decode_report
from workers.supervisor.log_lines import LineSplitter

_READ_BYTES: Final = 65_536

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True)
class LogLines:
    """Lines that a child printed."""

    stream: Stream
    lines: list[str]


@dataclass(frozen=True)
class UnparsableLine:
    """A line on the report pipe that is not a message."""

    line: bytes
    error: str


ChildOutput = AnyReport | LogLines | UnparsableLine


class ReportReader:
    """Turns the bytes of an report pipe into messages."""

    def __init__(self) -> None:
        self._incomplete = b""

    def feed(self, chunk: bytes) -> Sequence[ChildOutput]:
        *lines, self._incomplete = (self._incomplete + chunk).split(b"\n")
        return [_decode(line) for line in lines]

    def close(self) -> Sequence[ChildOutput]:
        """Return what is left when the pipe was closed."""
        return [UnparsableLine(self._incomplete, "the line is incomplete")] if self._incomplete else []


class LogReader:
    """Turns the bytes of a stream into lines, without empty ones."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._splitter = LineSplitter()

    def feed(self, chunk: bytes) -> Sequence[ChildOutput]:
        return self._wrap(self._splitter.feed(chunk))

    def close(self) -> Sequence[ChildOutput]:
        """Return what is left when the pipe was closed."""
        return self._wrap(self._splitter.close())

    def _wrap(self, lines: list[str]) -> Sequence[ChildOutput]:
        shown = [line for line in lines if line.strip()]
        return [LogLines(self._stream, shown)] if shown else []


Readers = dict[Connection, ReportReader | LogReader]


def read_available(readers: Readers, timeout: float) -> Iterator[ChildOutput | None]:
    """Yield what can be read within `timeout` seconds; None if nothing can. Remove the reader of a closed pipe."""
    ready = [pipe for pipe in wait(list(readers), timeout) if isinstance(pipe, Connection)]
    if not ready:
        yield None
    for pipe in ready:
        chunk = os.read(pipe.fileno(), _READ_BYTES)
        yield from readers[pipe].feed(chunk) if chunk else readers.pop(pipe).close()


def _decode(line: bytes) -> AnyReport | UnparsableLine:
    try:
        return decode_report(line)
    except ValidationError as error:
        return UnparsableLine(line, str(error))
