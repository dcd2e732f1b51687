"""Sends what the child prints to the worker as the job's log, whether Python or native code prints it."""

import os
import sys
from multiprocessing.connection import Connection
from typing import TextIO


def capture(stdout: Connection, stderr: Connection) -> None:
    """Replace the process's stdout and stderr with these pipes, and close the Connections."""
    flush()
    for pipe, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(pipe.fileno(), descriptor)
        pipe.close()
    # The fork server's own sys.stdout and sys.stderr were opened for other files, for example seekable ones.
    sys.stdout, sys.stderr = (_open_line_buffered(descriptor) for descriptor in (1, 2))


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _open_line_buffered(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
