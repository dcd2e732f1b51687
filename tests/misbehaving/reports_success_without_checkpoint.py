"""Reports success without ever having written a checkpoint."""

import os

from child_kit import begin

from workers.shared.protocol import Ended


def main(pipes):
    begin(pipes, Ended(reason="completed", message="All 5 epochs were trained."))
    os._exit(0)
