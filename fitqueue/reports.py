"""What a training reports: sent by the training process, passed on by the supervisor, recorded by the store.

Each type exists once, so that a report goes from the training process into the database as it is. The supervisor adds
only what it alone knows: the key under which it stored a file.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, order=True)
class Position:
    """A point in a training: `epoch` epochs are complete, and `step` steps of the next one are done."""

    epoch: int
    step: int = 0

    @property
    def epochs_begun(self) -> int:
        """The number of the current epoch, counted from 1; 0 before the first step."""
        return self.epoch + (self.step > 0)

    @property
    def description(self) -> str:
        """The point for people, as it reads after a verb or a noun: «training resumes after epoch 3»."""
        return f"after {self.step} steps of epoch {self.epochs_begun}" if self.step else f"after epoch {self.epoch}"


class Message(BaseModel):
    """One line of JSON between a supervisor and a training process. `type` names its class."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, ser_json_inf_nan="constants")


class EpochEnded(Message):
    """An epoch was trained."""

    type: Literal["epoch_ended"] = "epoch_ended"
    epoch: int = Field(description="the epoch, counted from 1")
    logs: dict[str, float] = Field(description="what Keras logged, NaN and infinity included")
    learning_rate: float = Field(description="the rate that this epoch was trained with")
    next_learning_rate: float = Field(description="the rate that this epoch's callbacks set; unchanged by a schedule")
    seconds: float
    steps: int


class FileWritten(Message):
    """A file is complete in the work directory, flushed, and under its last name. The supervisor stores it."""

    file: str = Field(description="its name in the work directory")
    size: int = Field(description="bytes")
    sha256: str


class CheckpointWritten(FileWritten):
    """A file of weights, or of a whole model."""

    type: Literal["checkpoint_written"] = "checkpoint_written"
    names: list[str] = Field(description="what users call it: `best`, `last`, and what ModelCheckpoint's template gave")
    format: Literal["weights.h5", "keras"]
    position: Position = Field(description="when it was saved")
    logs: dict[str, float] = Field(description="what was logged up to then")
    monitor: str | None = Field(description="the value that `best` follows")
    value: float | None = Field(description="that value")
    has_optimizer: bool = Field(default=False, description="whether it holds the variables of the optimizer, too")

    @property
    def epoch(self) -> int:
        """The epoch that it was saved in or after, counted from 1."""
        return self.position.epochs_begun

    @property
    def batch(self) -> int | None:
        """The batch that it was saved after, counted from 1; None at the end of an epoch."""
        return self.position.step or None


class SnapshotWritten(FileWritten):
    """Everything that a training needs to resume at `position`. What was saved before it is reported before it."""

    type: Literal["snapshot_written"] = "snapshot_written"
    position: Position


class ArtifactWritten(FileWritten):
    """A file that a callback of the job wrote."""

    type: Literal["artifact_written"] = "artifact_written"
    name: str = Field(description="what users call it, as the job says")


@dataclass(frozen=True)
class PrintedLine:
    """A line that the training process printed."""

    at: datetime
    stream: Literal["stdout", "stderr"]
    text: str
