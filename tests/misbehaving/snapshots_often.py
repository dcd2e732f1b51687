"""Takes three snapshots and saves a checkpoint in between, faster than they can be stored."""

import os

from child_kit import begin_with_start, save, take_snapshot

from workers.shared.protocol import Ended


def main(pipes):
    _, reporter, start = begin_with_start(pipes)
    reporter.emit(take_snapshot(start, 1))
    reporter.emit(take_snapshot(start, 2))
    reporter.emit(save(start, 3, "last"))
    reporter.emit(take_snapshot(start, 4))
    reporter.emit(Ended(reason="completed", message="All was saved."))
    os._exit(0)
