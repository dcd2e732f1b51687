"""What the misbehaving children have in common: they read their start and say a word, then each goes its own way."""

import hashlib
from pathlib import Path

from workers.shared.entry import ChildPipes
from workers.shared.protocol import CheckpointWritten, Message, PhaseChanged, SnapshotWritten, Start
from workers.trainer import stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter


def begin(pipes: ChildPipes, *messages: Message) -> tuple[Control, Reporter]:
    control, reporter, _ = begin_with_start(pipes, *messages)
    return control, reporter


def begin_with_start(pipes: ChildPipes, *messages: Message) -> tuple[Control, Reporter, Start]:
    stdio.capture(pipes.stdout, pipes.stderr)
    control, reporter = Control(pipes.control), Reporter(pipes.events)
    start = control.read_start()
    control.watch()
    for message in messages or (PhaseChanged(phase="training"),):
        reporter.say(message)
    return control, reporter, start


def save(start: Start, number: int, *names: str) -> CheckpointWritten:
    """Writes a checkpoint of this many bytes, and says what is to be said of it."""
    content = b"w" * number
    (Path(start.work_dir) / f"{number}.weights.h5").write_bytes(content)
    return CheckpointWritten(
        file=f"{number}.weights.h5", names=[*names], format="weights.h5", epoch=1, logs={}, monitor=None, value=None,
        size=number, sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def take_snapshot(start: Start, number: int) -> SnapshotWritten:
    """As `save`."""
    written = save(start, number)
    return SnapshotWritten(file=written.file, epoch=0, step=number, size=number, sha256=written.sha256)
