"""Says a word, and never reads what it is told."""

import threading

from workers.shared.protocol import PhaseChanged
from workers.trainer import stdio
from workers.trainer.reporting import Reporter


def main(pipes):
    stdio.capture(pipes.stdout, pipes.stderr)
    Reporter(pipes.events).say(PhaseChanged(phase="loading_data"))
    threading.Event().wait()
