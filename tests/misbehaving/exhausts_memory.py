"""Allocates memory until it gets no more."""

import os
import resource
from pathlib import Path

from child_kit import begin

from workers.trainer import outcome, stdio


def main(pipes):
    _, reporter = begin(pipes)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 64 * 2**20,) * 2)
    allocated = []
    try:
        while True:
            allocated.append(bytearray(2**20))
    except MemoryError as error:
        allocated.clear()
        ended = outcome.of_error(error, in_fit=True, terminates_on_nan=False)
    reporter.emit(ended)
    stdio.flush()
    os._exit(0)
