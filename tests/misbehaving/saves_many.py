"""Saves forty checkpoints one after the other, and then the last."""

import os

from says import begin_with_start, save

from workers.shared.protocol import Ended


def main(pipes):
    _, reporter, start = begin_with_start(pipes)
    for number in range(1, 41):
        reporter.say(save(start, number, f"number {number}"))
    reporter.say(save(start, 41, "last"))
    reporter.say(Ended(reason="completed", message="All was saved."))
    os._exit(0)
