"""Sends lines that are not messages, then goes on as if nothing had happened."""

import os

from child_kit import begin

from workers.shared.protocol import Ended


def main(pipes):
    begin(pipes)
    os.write(pipes.reports.fileno(), b'\x00\xff not json\n{"type": "unknown"}\n{"type": "epoch_ended"}\n')
    os.write(pipes.reports.fileno(), Ended(reason="nan_loss", message="NaN.").model_dump_json().encode() + b"\n")
    os._exit(0)
