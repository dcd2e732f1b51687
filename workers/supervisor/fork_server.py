"""The nursery: a process with TensorFlow loaded, from which the child of each job is forked in some 20 ms.

It is multiprocessing's own forkserver. It imports and does nothing else: one tensor made in it, and every child hangs.
A nursery that died is started anew by the next `spawn`, at the price of one import of TensorFlow; no job is given to
one that has not been looked at, since multiprocessing says nothing where an import in it fails.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from threading import Lock
from typing import Final, Literal, Self

from pydantic import ValidationError

from workers.shared.entry import ChildPipes, enter
from workers.shared.protocol import AnyCommand, AnyEvent, decode_event, encode
from workers.supervisor.log_lines import LineSplitter

PRELOAD: Final = "workers.trainer.preload"
TRAINER: Final = "workers.trainer.run"
FORK_PROBE: Final = "workers.trainer.fork_probe"

_READ_BYTES: Final = 65_536
_SEND_TIMEOUT: Final = 10.0
_REAP_TIMEOUT: Final = 5.0
# What multiprocessing reports when the nursery could not tell it the exit code.
_UNKNOWN_EXIT_CODE: Final = 255


class ForkServerBroken(Exception):
    """No child can be started."""


class ChildNotReading(Exception):
    """The child does not read what it is told."""


@dataclass(frozen=True)
class LogLines:
    stream: Literal["stdout", "stderr"]
    lines: list[str]


@dataclass(frozen=True)
class UnparsableLine:
    """A line on the event pipe that is no event."""

    line: bytes
    error: str


ChildOutput = AnyEvent | LogLines | UnparsableLine


class ForkServer:
    """Starts children. Thread-safe."""

    def __init__(self, trainer: str = TRAINER) -> None:
        """`trainer` is the module that children run, by its name."""
        self._trainer = trainer
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        # CPython 3.11: threads that start and join children at the same time can read a false exit code.
        self._lock = Lock()
        self._opening = Lock()
        self._probed_pid: int | None = None

    def open(self) -> None:
        """Start the nursery where it does not run, and wait until it is known to fork sound children.

        Raises:
            NurseryBroken: TensorFlow cannot be imported, or the import left something that no fork survives. The next
                call tries it with another one.
        """
        with self._opening:
            pid = self._running()
            if pid == self._probed_pid:
                return
            with self._spawn(FORK_PROBE) as child:
                said = [event for event in child.events(poll=1.0) if isinstance(event, LogLines)]
            if child.exit_code != 0:
                _kill_fork_server(pid)
                complaints = "\n".join(line for lines in said for line in lines.lines)
                raise ForkServerBroken(complaints or f"the self-check left with exit code {child.exit_code}")
            self._probed_pid = pid

    def spawn(self) -> "Child":
        """Fork a child that trains a job.

        Raises:
            NurseryBroken: the nursery died and could not be started anew.
        """
        self.open()
        return self._spawn(self._trainer)

    def _running(self) -> int:
        """The process number of the nursery, which is started if it must be. Raises NurseryBroken."""
        try:
            with self._lock:
                forkserver.ensure_running()
        except (OSError, EOFError) as error:
            raise ForkServerBroken(f"the nursery cannot be started: {error!r}") from error
        # multiprocessing tells it to nobody; without it, each child would have to be looked at.
        pid: int = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        return pid

    def _spawn(self, module: str) -> "Child":
        pairs = [self._context.Pipe(duplex=False) for _ in ChildPipes._fields]
        (control_r, control_w), *outputs = pairs
        theirs = ChildPipes(control_r, *(writer for _, writer in outputs))
        process = self._context.Process(target=enter, args=(module, theirs), daemon=True)
        try:
            with self._lock:
                process.start()
        except (OSError, EOFError) as error:
            raise ForkServerBroken(f"the nursery did not fork a child: {error!r}") from error
        finally:
            for end in theirs:
                end.close()
        return Child(process, self._lock, control_w, [reader for reader, _ in outputs])


def _kill_fork_server(pid: int) -> None:
    """Return when it is dead; it is left to multiprocessing to find that out."""
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


class Child:
    """One training process, seen from the worker. It has ended when nobody holds its event pipe any more.

    The pipe, and not the process's sentinel, because the sentinel belongs to the nursery: it fires for every child at
    once when the nursery dies, and the children train on.
    """

    def __init__(self, process: ForkServerProcess, lock: Lock, control: Connection, outputs: list[Connection]) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self.exit_code: int | None = None
        """Negative for a signal; None while it runs, and where nobody could learn it."""
        self._process = process
        self._lock = lock
        self._control = control
        self._events, self._stdout, self._stderr = outputs
        self._gone = False
        self._send_lock = Lock()
        os.set_blocking(control.fileno(), False)

    def send(self, message: AnyCommand, seconds: float = _SEND_TIMEOUT) -> None:
        """Send a message; from any thread. A child that is gone already is no error: its event pipe will tell.

        Raises:
            ChildDeaf: it read nothing for so long.
        """
        rest = encode(message)
        deadline = time.monotonic() + seconds
        with self._send_lock, suppress(BrokenPipeError):
            while rest and not self._gone:
                if not select.select([], [self._control], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise ChildNotReading(f"the training process {self.pid} reads nothing")
                rest = rest[os.write(self._control.fileno(), rest) :]

    def signal(self, number: signal.Signals) -> None:
        if not self._gone:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def events(self, poll: float) -> Iterator[ChildOutput | None]:
        """What the child says and prints, in the order of arrival, and None for each `poll` seconds of silence.

        Ends with the child; then `exit_code` is known.
        """
        readers: _Readers = {
            self._events: _EventReader(),
            self._stdout: _LogReader("stdout"),
            self._stderr: _LogReader("stderr"),
        }
        while self._events in readers:
            yield from _read(readers, poll)
        # A process that the child started may hold the child's stdout open: what is there is read, no more.
        for _ in list(readers):
            yield from (event for event in _read(readers, timeout=0) if event is not None)
        for reader in readers.values():
            yield from reader.end()
        self._reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever went wrong in between, no child outlives its block."""
        if not self._gone:
            self.signal(signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        """Read the exit code and let go of the pipes."""
        wait([self._process.sentinel], timeout=_REAP_TIMEOUT)
        with self._lock:
            self._process.join(timeout=0)
            code = self._process.exitcode
        self.exit_code = None if code == _UNKNOWN_EXIT_CODE else code
        with self._send_lock:
            self._gone = True
            for end in (self._control, self._events, self._stdout, self._stderr):
                end.close()


class _EventReader:
    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[ChildOutput]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [_decoded(line) for line in whole]

    def end(self) -> list[ChildOutput]:
        return [UnparsableLine(self._rest, "the line was never finished")] if self._rest else []


class _LogReader:
    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        self._stream: Literal["stdout", "stderr"] = stream
        self._splitter = LineSplitter()

    def feed(self, chunk: bytes) -> list[ChildOutput]:
        return self._wrapped(self._splitter.feed(chunk))

    def end(self) -> list[ChildOutput]:
        return self._wrapped(self._splitter.end())

    def _wrapped(self, lines: list[str]) -> list[ChildOutput]:
        shown = [line for line in lines if line.strip()]
        return [LogLines(self._stream, shown)] if shown else []


_Readers = dict[Connection, _EventReader | _LogReader]


def _read(readers: _Readers, timeout: float) -> Iterator[ChildOutput | None]:
    """What is there to be read within the time; None if nothing is. A reader whose pipe was closed goes."""
    ready = [end for end in wait(list(readers), timeout) if isinstance(end, Connection)]
    if not ready:
        yield None
    for end in ready:
        chunk = os.read(end.fileno(), _READ_BYTES)
        yield from readers[end].feed(chunk) if chunk else readers.pop(end).end()


def _decoded(line: bytes) -> AnyEvent | UnparsableLine:
    try:
        return decode_event(line)
    except ValidationError as error:
        return UnparsableLine(line, str(error))
