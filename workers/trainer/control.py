"""Reads the worker's commands, and exits when the worker is gone or has lost the job."""

import math
import os
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from threading import Thread
from typing import Final

from workers.shared.exit_codes import LEASE_NOT_RENEWED, WORKER_GONE
from workers.shared.protocol import AnyCommand, Renewed, Start, Stop, WarmUp, decode_command

_READ_BYTES: Final = 65_536


class StopRequested(Exception):
    """The worker asked the training to stop. Raised only where training can stop: between two batches.

    Attributes:
        stop: the worker's command, with the cause.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.cause)
        self.stop = stop


class Control:
    """The child's end of the control pipe, which is also its lifeline."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._unparsed = b""
        self._stop: Stop | None = None
        self._lease_seconds = math.inf
        self._lease_ends_at = math.inf

    def read_start(self, warm_up: Callable[[WarmUp], None] = lambda _: None) -> Start:
        """Wait for the job. Exit if the worker is gone before it has sent one.

        Args:
            warm_up: called if the worker wants the child to warm up first.

        Raises:
            TypeError: another command came.
        """
        command = self._read_command()
        if isinstance(command, WarmUp):
            with ThreadPoolExecutor(1, thread_name_prefix="lifeline") as thread:  # the pipe is watched meanwhile
                start = thread.submit(self._read_command)
                warm_up(command)
                command = start.result()
        if not isinstance(command, Start):
            raise TypeError(f"the first command must be `start`, received `{command.type}`")
        self._lease_seconds = command.lease_seconds
        self._renew_lease()
        return command

    def watch(self) -> None:
        """Read further commands in a thread, as long as the process lives."""
        Thread(target=self._listen, name="lifeline", daemon=True).start()

    def check(self) -> None:
        """Check whether training must stop.

        Raises:
            StopRequested: the worker has asked for it.
        """
        if self._stop is not None:
            raise StopRequested(self._stop)

    def _listen(self) -> None:
        while True:
            command = self._read_command()
            if isinstance(command, Renewed):
                self._renew_lease()
            # The first cause counts: a cancelled job stays cancelled even if its worker shuts down a moment later.
            if isinstance(command, Stop) and self._stop is None:
                self._stop = command

    def _renew_lease(self) -> None:
        self._lease_ends_at = time.monotonic() + self._lease_seconds

    def _read_command(self) -> AnyCommand:
        while b"\n" not in self._unparsed:
            self._unparsed += self._read_chunk()
        line, _, self._unparsed = self._unparsed.partition(b"\n")
        return decode_command(line)

    def _read_chunk(self) -> bytes:
        """Wait for bytes. Exit if the lease ends before any arrive, or if the pipe is closed."""
        timeout = self._lease_ends_at - time.monotonic()
        if timeout <= 0 or not select.select([self._pipe], [], [], None if math.isinf(timeout) else timeout)[0]:
            os._exit(LEASE_NOT_RENEWED)
        chunk = os.read(self._pipe.fileno(), _READ_BYTES)
        if not chunk:
            os._exit(WORKER_GONE)
        return chunk
