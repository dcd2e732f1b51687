"""Prints sixty lines and is killed by the signal that its job is named after."""

import os
import signal
import sys

from child_kit import begin_with_start

from workers.trainer import stdio


def main(pipes):
    _, _, start = begin_with_start(pipes)
    for number in range(60):
        sys.stderr.write(f"line {number}\n")
    stdio.flush()
    os.kill(os.getpid(), signal.Signals[start.spec["name"]])
