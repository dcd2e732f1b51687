"""The child's ear: reads the worker's commands, and ends the process when the worker is gone or has lost the job."""

import math
import os
import select
import time
from multiprocessing.connection import Connection
from threading import Thread
from typing import Final

from workers.shared.exit_codes import LEASE_NOT_RENEWED, WORKER_GONE
from workers.shared.protocol import AnyCommand, Renewed, Start, Stop, decode_command

_READ_BYTES: Final = 65_536


class StopRequested(Exception):
    """The worker asked for the end; `stop.cause` says why. Raised where training can be left: between two batches."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        super().__init__(stop.cause)


class Control:
    """The child's end of the control pipe, which is also its lifeline."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._rest = b""
        self._wish: Stop | None = None
        self._lease_seconds = math.inf
        self._lease_ends_at = math.inf

    def read_start(self) -> Start:
        """Wait for the first line. The process ends here if the worker goes away before it."""
        command = self._next()
        if not isinstance(command, Start):
            raise TypeError(f"the first command must be `start`, received `{command.type}`")
        self._lease_seconds = command.lease_seconds
        self._renew()
        return command

    def watch(self) -> None:
        """Read on in a thread, for as long as the process lives."""
        Thread(target=self._listen, name="lifeline", daemon=True).start()

    def check(self) -> None:
        """Raises StopRequested if the worker has asked for the end."""
        if self._wish is not None:
            raise StopRequested(self._wish)

    def _listen(self) -> None:
        while True:
            command = self._next()
            if isinstance(command, Renewed):
                self._renew()
            # The first wish stands: a cancelled job stays cancelled though its worker shuts down a moment later.
            if isinstance(command, Stop) and self._wish is None:
                self._wish = command

    def _renew(self) -> None:
        self._lease_ends_at = time.monotonic() + self._lease_seconds

    def _next(self) -> AnyCommand:
        while b"\n" not in self._rest:
            self._rest += self._read()
        line, _, self._rest = self._rest.partition(b"\n")
        return decode_command(line)

    def _read(self) -> bytes:
        left = self._lease_ends_at - time.monotonic()
        if left <= 0 or not select.select([self._pipe], [], [], None if math.isinf(left) else left)[0]:
            os._exit(LEASE_NOT_RENEWED)
        chunk = os.read(self._pipe.fileno(), _READ_BYTES)
        if not chunk:
            os._exit(WORKER_GONE)
        return chunk
