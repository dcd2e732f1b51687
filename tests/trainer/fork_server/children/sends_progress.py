"""Sends progress again and again until it is told to stop."""

import os

from fitqueue.reports import Position
from workers.shared.protocol import Ended, Progress
from workers.trainer import stdio
from workers.trainer.control import Control, StopRequested
from workers.trainer.reporting import Reporter


def main(pipes):
    stdio.capture(pipes.stdout, pipes.stderr)
    control, reporter = Control(pipes.control), Reporter(pipes.reports)
    control.read_start()
    control.watch()
    try:
        while True:
            control.check()
            reporter.emit(Progress(position=Position(0, 1), steps=2))
    except StopRequested:
        reporter.emit(Ended(reason="cancelled_by_user", message="stopped"))
    os._exit(0)
