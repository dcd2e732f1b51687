"""Sends what the child prints, Python and native code alike, to the worker, as the job's log."""

import os
import sys
from multiprocessing.connection import Connection
from typing import TextIO


def capture(stdout: Connection, stderr: Connection) -> None:
    """Put the pipes in the place of the process's stdout and stderr, and close the Connections."""
    flush()
    for pipe, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(pipe.fileno(), descriptor)
        pipe.close()
    # New ones, since the nursery's were made for whatever it had there, a file that can be sought for instance.
    sys.stdout, sys.stderr = (_lines_to(descriptor) for descriptor in (1, 2))


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _lines_to(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
