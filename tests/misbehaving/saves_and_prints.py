"""Saves a checkpoint, and prints much more than its pipe holds; then it creates a file to show that it got there."""

import os
import sys
from pathlib import Path

from child_kit import begin_with_start, save

from workers.shared.protocol import Ended
from workers.trainer import stdio


def main(pipes):
    _, reporter, start = begin_with_start(pipes)
    reporter.emit(save(start, 1, "last"))
    for number in range(10_000):
        sys.stdout.write(f"line {number}\n")
    stdio.flush()
    (Path(start.work_dir) / "all_printed").touch()
    reporter.emit(Ended(reason="completed", message="All was printed."))
    os._exit(0)
