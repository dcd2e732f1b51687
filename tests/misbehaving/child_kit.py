"""What the misbehaving children share: they read their start message and send one, then each goes its own way."""

import hashlib
from pathlib import Path

from fitqueue.reports import CheckpointWritten, Message, Position, SnapshotWritten
from workers.shared.entry import ChildPipes
from workers.shared.protocol import PhaseChanged, Start
from workers.trainer import stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter


def begin(pipes: ChildPipes, *messages: Message) -> tuple[Control, Reporter]:
    """Read the start message, and send these messages or, if there are none, that the training has begun."""
    control, reporter, _ = begin_with_start(pipes, *messages)
    return control, reporter


def begin_with_start(pipes: ChildPipes, *messages: Message) -> tuple[Control, Reporter, Start]:
    stdio.capture(pipes.stdout, pipes.stderr)
    control, reporter = Control(pipes.control), Reporter(pipes.reports)
    start = control.read_start()
    control.watch()
    for message in messages or (PhaseChanged(phase="training"),):
        reporter.emit(message)
    return control, reporter, start


def save(start: Start, size: int, *names: str) -> CheckpointWritten:
    """Write a checkpoint of this many bytes, and return its report."""
    content = b"w" * size
    (Path(start.work_dir) / f"{size}.weights.h5").write_bytes(content)
    return CheckpointWritten(
        file=f"{size}.weights.h5", names=[*names], format="weights.h5", position=Position(1), logs={}, monitor=None,
        value=None, size=size, sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def take_snapshot(start: Start, size: int) -> SnapshotWritten:
    """Write a snapshot of this many bytes, taken after as many steps, and return its report."""
    written = save(start, size)
    return SnapshotWritten(file=written.file, position=Position(0, size), size=size, sha256=written.sha256)
