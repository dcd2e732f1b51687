"""Reports progress again and again, for as long as it may."""

import threading

from child_kit import begin

from fitqueue.reports import Position
from workers.shared.protocol import Progress


def main(pipes):
    _, reporter = begin(pipes)
    while True:
        reporter.emit(Progress(position=Position(0, 1), steps=2))
        threading.Event().wait(0.02)
