"""Sends a message, and never reads its control pipe."""

import threading

from workers.shared.protocol import PhaseChanged
from workers.trainer import stdio
from workers.trainer.reporting import Reporter


def main(pipes):
    stdio.capture(pipes.stdout, pipes.stderr)
    Reporter(pipes.reports).emit(PhaseChanged(phase="loading_data"))
    threading.Event().wait()
