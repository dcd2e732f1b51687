"""Prints sixty lines and is killed by the signal that its job's name says."""

import json
import os
import signal
import sys

from workers.shared.protocol import PhaseChanged
from workers.trainer import stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter


def main(pipes):
    stdio.capture(pipes.stdout, pipes.stderr)
    control, reporter = Control(pipes.control), Reporter(pipes.events)
    start = control.read_start()
    reporter.say(PhaseChanged(phase="training"))
    for number in range(60):
        sys.stderr.write(f"line {number}\n")
    stdio.flush()
    os.kill(os.getpid(), signal.Signals[json.dumps(start.spec["name"]).strip('"')])
