"""A training process, as its worker sees it."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from threading import Lock
from typing import Final, Self

from workers.shared.protocol import AnyCommand, encode
from workers.supervisor.child_output import ChildOutput, LogReader, Readers, ReportReader, read_available

_SEND_TIMEOUT: Final = 10.0
_REAP_TIMEOUT: Final = 5.0
# What multiprocessing reports if the fork server could not tell the exit code.
_UNKNOWN_EXIT_CODE: Final = 255


class ChildNotReading(Exception):
    """The child does not read its control pipe."""


class Child:
    """A training process. It has ended when nobody holds its report pipe open any more.

    We watch the pipe instead of the process's sentinel, because the sentinel belongs to the fork server: when that
    dies, it fires for every child at once, although the children train on.
    """

    def __init__(self, process: ForkServerProcess, lock: Lock, control: Connection, outputs: list[Connection]) -> None:
        """Wrap a process that was just forked.

        Args:
            lock: held while a process is started or joined.
            control: our end of its control pipe.
            outputs: our ends of its report pipe, its stdout and its stderr.
        """
        assert process.pid is not None
        self.pid = process.pid
        self.exit_code: int | None = None
        """Negative for a signal; None while the process runs, or if the exit code is unknown."""
        self._process = process
        self._lock = lock
        self._control = control
        self._reports, self._stdout, self._stderr = outputs
        self._is_reaped = False
        self._send_lock = Lock()
        os.set_blocking(control.fileno(), False)

    def send(self, message: AnyCommand, timeout: float = _SEND_TIMEOUT) -> None:
        """Send a message, from any thread. If the child has ended already, do nothing: its report pipe will show it.

        Raises:
            ChildNotReading: it did not read for `timeout` seconds.
        """
        unsent = encode(message)
        deadline = time.monotonic() + timeout
        with self._send_lock, suppress(BrokenPipeError):
            while unsent and not self._is_reaped:
                if not select.select([], [self._control], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise ChildNotReading(f"The training process {self.pid} does not read its control pipe.")
                unsent = unsent[os.write(self._control.fileno(), unsent) :]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended."""
        if not self._is_reaped:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def outputs(self, poll: float) -> Iterator[ChildOutput | None]:
        """Yield what the child sends and prints, in the order of arrival, and None for each `poll` seconds of silence.

        The iterator ends with the child; then `exit_code` is set.
        """
        readers: Readers = {
            self._reports: ReportReader(),
            self._stdout: LogReader("stdout"),
            self._stderr: LogReader("stderr"),
        }
        while self._reports in readers:
            yield from read_available(readers, poll)
        # A process that the child started may hold the child's stdout open, so read only what is already there.
        for _ in list(readers):
            yield from (output for output in read_available(readers, timeout=0) if output is not None)
        for reader in readers.values():
            yield from reader.close()
        self._reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the child if it still runs: whatever went wrong, no child outlives its block."""
        if not self._is_reaped:
            self.signal(signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        """Read the exit code and close the pipes."""
        wait([self._process.sentinel], timeout=_REAP_TIMEOUT)
        with self._lock:
            self._process.join(timeout=0)
            code = self._process.exitcode
        self.exit_code = None if code == _UNKNOWN_EXIT_CODE else code
        with self._send_lock:
            self._is_reaped = True
            for pipe in (self._control, self._reports, self._stdout, self._stderr):
                pipe.close()
