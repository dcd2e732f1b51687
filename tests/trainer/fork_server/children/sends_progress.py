"""Says something again and again until it is told to stop."""

import os

from workers.shared.protocol import Ended, Progress
from workers.trainer import stdio
from workers.trainer.control import Control, StopRequested
from workers.trainer.reporting import Reporter


def main(pipes):
    stdio.capture(pipes.stdout, pipes.stderr)
    control, reporter = Control(pipes.control), Reporter(pipes.events)
    control.read_start()
    control.watch()
    try:
        while True:
            control.check()
            reporter.say(Progress(epoch=1, step=1, steps=2))
    except StopRequested:
        reporter.say(Ended(reason="cancelled_by_user", message="stopped"))
    os._exit(0)
