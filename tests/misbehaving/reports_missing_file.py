"""Reports a checkpoint that does not exist, under a path outside of its work directory."""

import threading

from child_kit import begin

from fitqueue.reports import CheckpointWritten, Position


def main(pipes):
    begin(
        pipes,
        CheckpointWritten(
            file="../../../../etc/hostname", names=["last"], format="weights.h5", position=Position(1), logs={},
            monitor=None, value=None, size=1, sha256="0" * 64,
        ),
    )  # fmt: skip
    threading.Event().wait()
