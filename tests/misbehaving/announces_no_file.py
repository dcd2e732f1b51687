"""Announces a checkpoint that does not exist."""

import threading

from says import begin

from workers.shared.protocol import CheckpointWritten


def main(pipes):
    begin(
        pipes,
        CheckpointWritten(
            file="../../../../etc/hostname", names=["last"], format="weights.h5", epoch=1, logs={}, monitor=None,
            value=None, size=1, sha256="0" * 64,
        ),
    )  # fmt: skip
    threading.Event().wait()
