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
from workers.supervisor.log_lines import LineCutter

PRELOAD: Final = "workers.trainer.preload"
TRAINER: Final = "workers.trainer.run"
SELF_CHECK: Final = "workers.trainer.fork_probe"

_READ_BYTES: Final = 65_536
_TELL_SECONDS: Final = 10.0
_REAP_SECONDS: Final = 5.0
# What multiprocessing reports when the nursery could not tell it the exit code.
_UNKNOWN_EXIT_CODE: Final = 255


class NurseryBroken(Exception):
    """No child can be started."""


class ChildDeaf(Exception):
    """The child does not read what it is told."""


@dataclass(frozen=True)
class LogLines:
    stream: Literal["stdout", "stderr"]
    lines: list[str]


@dataclass(frozen=True)
class Garbled:
    """A line on the event pipe that is no event."""

    line: bytes
    error: str


Heard = AnyEvent | LogLines | Garbled


class Nursery:
    """Starts children. Thread-safe."""

    def __init__(self, trainer: str = TRAINER) -> None:
        """`trainer` is the module that children run, by its name."""
        self._trainer = trainer
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        # CPython 3.11: threads that start and join children at the same time can read a false exit code.
        self._lock = Lock()
        self._opening = Lock()
        self._sound_pid: int | None = None

    def open(self) -> None:
        """Start the nursery where it does not run, and wait until it is known to fork sound children.

        Raises:
            NurseryBroken: TensorFlow cannot be imported, or the import left something that no fork survives. The next
                call tries it with another one.
        """
        with self._opening:
            pid = self._running()
            if pid == self._sound_pid:
                return
            with self._spawn(SELF_CHECK) as child:
                said = [heard for heard in child.events(poll=1.0) if isinstance(heard, LogLines)]
            if child.exit_code != 0:
                _end_nursery(pid)
                complaints = "\n".join(line for lines in said for line in lines.lines)
                raise NurseryBroken(complaints or f"the self-check left with exit code {child.exit_code}")
            self._sound_pid = pid

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
            raise NurseryBroken(f"the nursery cannot be started: {error!r}") from error
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
            raise NurseryBroken(f"the nursery did not fork a child: {error!r}") from error
        finally:
            for end in theirs:
                end.close()
        return Child(process, self._lock, control_w, [reader for reader, _ in outputs])


def _end_nursery(pid: int) -> None:
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
        self._telling = Lock()
        os.set_blocking(control.fileno(), False)

    def tell(self, message: AnyCommand, seconds: float = _TELL_SECONDS) -> None:
        """Send a message; from any thread. A child that is gone already is no error: its event pipe will tell.

        Raises:
            ChildDeaf: it read nothing for so long.
        """
        rest = encode(message)
        deadline = time.monotonic() + seconds
        with self._telling, suppress(BrokenPipeError):
            while rest and not self._gone:
                if not select.select([], [self._control], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise ChildDeaf(f"the training process {self.pid} reads nothing")
                rest = rest[os.write(self._control.fileno(), rest) :]

    def signal(self, number: signal.Signals) -> None:
        if not self._gone:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def events(self, poll: float) -> Iterator[Heard | None]:
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
            yield from (heard for heard in _read(readers, timeout=0) if heard is not None)
        for reader in readers.values():
            yield from reader.end()
        self._bury()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever went wrong in between, no child outlives its block."""
        if not self._gone:
            self.signal(signal.SIGKILL)
            self._bury()

    def _bury(self) -> None:
        """Read the exit code and let go of the pipes."""
        wait([self._process.sentinel], timeout=_REAP_SECONDS)
        with self._lock:
            self._process.join(timeout=0)
            code = self._process.exitcode
        self.exit_code = None if code == _UNKNOWN_EXIT_CODE else code
        with self._telling:
            self._gone = True
            for end in (self._control, self._events, self._stdout, self._stderr):
                end.close()


class _EventReader:
    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Heard]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [_decoded(line) for line in whole]

    def end(self) -> list[Heard]:
        return [Garbled(self._rest, "the line was never finished")] if self._rest else []


class _LogReader:
    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        self._stream: Literal["stdout", "stderr"] = stream
        self._cutter = LineCutter()

    def feed(self, chunk: bytes) -> list[Heard]:
        return self._wrapped(self._cutter.feed(chunk))

    def end(self) -> list[Heard]:
        return self._wrapped(self._cutter.end())

    def _wrapped(self, lines: list[str]) -> list[Heard]:
        shown = [line for line in lines if line.strip()]
        return [LogLines(self._stream, shown)] if shown else []


_Readers = dict[Connection, _EventReader | _LogReader]


def _read(readers: _Readers, timeout: float) -> Iterator[Heard | None]:
    """What is there to be read within the time; None if nothing is. A reader whose pipe was closed goes."""
    ready = [end for end in wait(list(readers), timeout) if isinstance(end, Connection)]
    if not ready:
        yield None
    for end in ready:
        chunk = os.read(end.fileno(), _READ_BYTES)
        yield from readers[end].feed(chunk) if chunk else readers.pop(end).end()


def _decoded(line: bytes) -> AnyEvent | Garbled:
    try:
        return decode_event(line)
    except ValidationError as error:
        return Garbled(line, str(error))
