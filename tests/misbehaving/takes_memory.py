"""Takes more and more memory, which it could get, and says so."""

import sys
import time

from child_kit import begin


def main(pipes):
    begin(pipes)
    taken = []
    while True:
        taken.append(bytearray(b"m") * (8 * 2**20))
        print(f"{len(taken)} times 8 MiB", flush=True)  # noqa: T201 -- a line of the log of the job
        sys.stdout.flush()
        time.sleep(0.05)
