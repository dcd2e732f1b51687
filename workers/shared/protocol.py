"""What a worker and the child that trains one job say to each other. It can be read in a minute.

Each message is one line of JSON with the speaker's word in `say`. The worker writes on the child's control pipe, the
child on its event pipe; both pipes carry nothing else. The control pipe is also the lifeline: when it closes without
a word, the worker is gone, and the child goes too; so it does when no word comes for the time of a lease. NaN and
infinity are written as the constants that JSON lacks: both ends are ours.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fitqueue.states import Phase, Reason


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")


# --- The worker says --------------------------------------------------------------------------------------------


class Start(Message):
    """The first line: the whole job. The child knows nothing else."""

    say: Literal["start"] = "start"
    job_id: str
    attempt: int
    spec: dict[str, Any]
    dataset_path: str | None = Field(description="the user's .npz on this machine; None for a built-in data set")
    initial_weights: str | None = Field(default=None, description="a weights file to begin with, on this machine")
    snapshot: str | None = Field(default=None, description="a snapshot to go on from, on this machine")
    extended: bool = Field(
        default=False,
        description="the job has ended at its snapshot and was given more epochs: what stopped it is over",
    )
    snapshot_seconds: float = Field(
        default=300.0, description="how long an epoch may be trained without a snapshot; 0: one after each batch"
    )
    work_dir: str = Field(description="the child writes here and nowhere else")
    gpus: list[str] = Field(description="UUIDs of the GPUs it may see")
    cpu_devices: int = Field(description="logical CPUs to train on where there is no GPU")
    threads: int = Field(description="intra-op threads; 0 lets TensorFlow choose")
    lease_seconds: float = Field(
        default=math.inf, description="the process ends itself when it has heard no `renewed` for so long"
    )


class Renewed(Message):
    """The worker still has the right to train the job. A worker that is frozen or cut off says nothing."""

    say: Literal["renewed"] = "renewed"


class Stop(Message):
    """End at the next batch boundary, keeping what was trained."""

    say: Literal["stop"] = "stop"
    why: Literal["cancel", "pause", "shutdown", "max_runtime"]


AnyCommand = Start | Renewed | Stop
Command = Annotated[AnyCommand, Field(discriminator="say")]

# --- The child says ---------------------------------------------------------------------------------------------


class PhaseChanged(Message):
    say: Literal["phase"] = "phase"
    phase: Phase


class Progress(Message):
    """At most twice a second, and once when the first step is done."""

    say: Literal["progress"] = "progress"
    epoch: int = Field(description="1-based")
    step: int
    steps: int


class EpochEnded(Message):
    say: Literal["epoch"] = "epoch"
    epoch: int = Field(description="1-based")
    logs: dict[str, float]
    learning_rate: float = Field(description="the rate that this epoch was trained with")
    next_learning_rate: float = Field(description="as this epoch's callbacks left it; a schedule is no callback")
    seconds: float
    steps: int


class CheckpointWritten(Message):
    """A file lies whole in the work directory: written beside, flushed, renamed. The worker stores it."""

    say: Literal["checkpoint"] = "checkpoint"
    file: str = Field(description="its name in the work directory")
    names: list[str] = Field(description="what users call it: `best`, `last`, and what ModelCheckpoint's template gave")
    format: Literal["weights.h5", "keras"]
    epoch: int
    batch: int | None = None
    logs: dict[str, float]
    monitor: str | None
    value: float | None
    size: int
    sha256: str


class SnapshotWritten(Message):
    """All that a training needs to go on lies whole in the work directory. The worker stores it.

    What was saved before it was taken has been announced before it.
    """

    say: Literal["snapshot"] = "snapshot"
    file: str = Field(description="its name in the work directory")
    epoch: int = Field(description="whole epochs that were trained")
    step: int = Field(description="steps of the next that were done")
    size: int
    sha256: str


class Resumed(Message):
    """Training goes on from a snapshot."""

    say: Literal["resumed"] = "resumed"
    epoch: int = Field(description="whole epochs that were trained")
    step: int = Field(description="steps of the next that were done")
    differences: list[str] = Field(description="why the numbers may differ in their last bits; empty: they do not")


class ArtifactWritten(Message):
    """A file that a callback of the job wrote lies whole in the work directory. The worker stores it."""

    say: Literal["artifact"] = "artifact"
    file: str = Field(description="its name in the work directory")
    name: str = Field(description="what users call it, as the job says")
    size: int
    sha256: str


class Ended(Message):
    """The last word. It is believed before the exit code."""

    say: Literal["ended"] = "ended"
    reason: Reason
    message: str
    may_pass: bool = Field(default=False, description="whether it may go well later, or on another machine")


class SnapshotRefused(Message):
    """The last word of a child that cannot go on from its snapshot: another program had taken it."""

    say: Literal["snapshot_refused"] = "snapshot_refused"
    message: str


class Stopped(Message):
    """The last word of a child that was asked to make room: the job goes back into the queue."""

    say: Literal["stopped"] = "stopped"


AnyEvent = (
    PhaseChanged
    | Resumed
    | Progress
    | EpochEnded
    | CheckpointWritten
    | SnapshotWritten
    | ArtifactWritten
    | Ended
    | SnapshotRefused
    | Stopped
)
Event = Annotated[AnyEvent, Field(discriminator="say")]

_COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(Command)
_EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(Event)


def encode(message: Message) -> bytes:
    return message.model_dump_json().encode() + b"\n"


def decode_command(line: bytes) -> AnyCommand:
    """Raises pydantic.ValidationError for a line that is no command."""
    return _COMMANDS.validate_json(line)


def decode_event(line: bytes) -> AnyEvent:
    """Raises pydantic.ValidationError for a line that is no event."""
    return _EVENTS.validate_json(line)
