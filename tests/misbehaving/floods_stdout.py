"""Prints far more lines than are kept."""

import os
import sys

from child_kit import begin

from workers.shared.protocol import Ended
from workers.trainer import stdio


def main(pipes):
    _, reporter = begin(pipes)
    for number in range(30_000):
        sys.stdout.write(f"line {number}\n")
    stdio.flush()
    reporter.emit(Ended(reason="nan_loss", message="The loss of epoch 3 was nan."))
    os._exit(0)
