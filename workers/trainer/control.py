"""The child's ear: reads the worker's commands, and ends the process when the worker is gone."""

import os
from multiprocessing.connection import Connection
from threading import Thread
from typing import Final

from workers.protocol import Start, Stop, decode_command

# The worker is gone, so nobody reads this code; it is for whoever traces processes.
ORPHANED_EXIT_CODE: Final = 86


class StopRequested(Exception):
    """The worker asked for the end; `stop.why` says why. Raised where training can be left: between two batches."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        super().__init__(stop.why)


class Control:
    """The child's end of the control pipe, which is also its lifeline."""

    def __init__(self, pipe: Connection) -> None:
        self._lines = os.fdopen(os.dup(pipe.fileno()), "rb")
        self._wish: Stop | None = None
        pipe.close()

    def read_start(self) -> Start:
        """Wait for the first line. The process ends here if the worker goes away before it."""
        command = self._next()
        if not isinstance(command, Start):
            raise TypeError(f"the first command must be `start`, received `{command.say}`")
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
            # The first wish stands: a cancelled job stays cancelled though its worker shuts down a moment later.
            if isinstance(command, Stop) and self._wish is None:
                self._wish = command

    def _next(self) -> Start | Stop:
        line = self._lines.readline()
        if not line:
            os._exit(ORPHANED_EXIT_CODE)
        return decode_command(line)
