"""Saves forty checkpoints one after the other, and then the last one."""

import os

from child_kit import begin_with_start, save

from workers.shared.protocol import Ended


def main(pipes):
    _, reporter, start = begin_with_start(pipes)
    for number in range(1, 41):
        reporter.emit(save(start, number, f"number {number}"))
    reporter.emit(save(start, 41, "last"))
    reporter.emit(Ended(reason="completed", message="All was saved."))
    os._exit(0)
