"""Saves a checkpoint, and prints much more than its pipe holds; then it leaves a mark that it came so far."""

import os
import sys
from pathlib import Path

from says import begin_with_start, save

from workers.shared.protocol import Ended
from workers.trainer import stdio


def main(pipes):
    _, reporter, start = begin_with_start(pipes)
    reporter.say(save(start, 1, "last"))
    for number in range(30_000):
        sys.stdout.write(f"line {number}\n")
    stdio.flush()
    (Path(start.work_dir) / "mark").touch()
    reporter.say(Ended(reason="completed", message="All was printed."))
    os._exit(0)
