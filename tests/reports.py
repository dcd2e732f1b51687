"""Reports as a training process sends them, with defaults for whatever a test does not care about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from fitqueue.reports import (
    ArtifactWritten,
    CheckpointWritten,
    EpochEnded,
    Position,
    PrintedLine,
    SnapshotWritten,
)

SHA256 = "0" * 64


def epoch_ended(epoch: int = 1, logs: Mapping[str, float] | None = None, **fields: float) -> EpochEnded:
    """Return the report of an epoch with a loss of 1, which took a second for its 3 steps."""
    defaults = {"learning_rate": 0.1, "next_learning_rate": 0.1, "seconds": 1.0, "steps": 3}
    return EpochEnded.model_validate({"epoch": epoch, "logs": logs or {"loss": 1.0}, **defaults, **fields})


def checkpoint_written(
    names: Sequence[str],
    epoch: int = 1,
    *,
    format: Literal["weights.h5", "keras"] = "weights.h5",
    value: float = 0.5,
    size: int = 10,
    sha256: str = SHA256,
    has_optimizer: bool = False,
) -> CheckpointWritten:
    """Return the report of a checkpoint that was saved after an epoch, with `loss` as its monitor."""
    return CheckpointWritten(
        file="1", size=size, sha256=sha256, names=list(names), format=format, position=Position(epoch),
        logs={"loss": value}, monitor="loss", value=value, has_optimizer=has_optimizer,
    )  # fmt: skip


def snapshot_written(epoch: int, step: int = 0) -> SnapshotWritten:
    """Return the report of a snapshot."""
    return SnapshotWritten(file="1", size=10, sha256=SHA256, position=Position(epoch, step))


def artifact_written(name: str) -> ArtifactWritten:
    """Return the report of a callback's file."""
    return ArtifactWritten(file="1", size=10, sha256=SHA256, name=name)


def printed(text: str, stream: Literal["stdout", "stderr"] = "stdout") -> PrintedLine:
    """Return a line that was printed just now."""
    return PrintedLine(datetime.now(UTC), stream, text)
