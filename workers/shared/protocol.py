"""The messages between a supervisor and the training process (the child) of one job. You can read this in a minute.

Each message is one line of JSON; `type` names its class. The supervisor writes on the child's control pipe, the child
on its report pipe, and both pipes carry nothing else. The control pipe is also a lifeline: when it closes, the
supervisor is gone and the child exits, as it does when no `renewed` arrives for the time of a lease. NaN and infinity
are written as the constants that JSON lacks, because both ends are ours.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from fitqueue.reports import ArtifactWritten, CheckpointWritten, EpochEnded, Message, Position, SnapshotWritten
from fitqueue.states import Phase, Reason

# --- From the supervisor ------------------------------------------------------------------------------------------


class Devices(Message):
    """What a child computes on. TensorFlow's first operation fixes it for the rest of the process."""

    gpus: list[str] = Field(description="UUIDs of the GPUs that it may see")
    cpu_devices: int = Field(description="logical CPUs to train on where there is no GPU")
    threads: int = Field(description="intra-op threads; 0 lets TensorFlow choose")


class WarmUp(Devices):
    """May precede `start`: warm Keras up on these devices, report `warmed_up`, and wait for a job."""

    type: Literal["warm_up"] = "warm_up"


class Start(Devices):
    """The whole job: the first line, unless there was a `warm_up`. The child knows nothing else."""

    type: Literal["start"] = "start"
    job_id: str
    attempt: int
    spec: dict[str, Any]
    dataset_path: str | None = Field(description="the user's file on this machine; None for a built-in data set")
    initial_weights: str | None = Field(default=None, description="weights to start from, on this machine")
    snapshot: str | None = Field(default=None, description="a snapshot to resume from, on this machine")
    extended: bool = Field(
        default=False,
        description="the job had ended at its snapshot and got more epochs, so whatever stopped it no longer applies",
    )
    snapshot_seconds: float = Field(
        default=300.0, description="how long an epoch may train without a snapshot; 0: one after each batch"
    )
    max_artifact_bytes: float = Field(
        default=math.inf, description="how much callbacks may write besides weights before the job ends"
    )
    work_dir: str = Field(description="the only folder in which the child may write")
    lease_seconds: float = Field(
        default=math.inf, description="the child exits when it has not read `renewed` for this long"
    )


class Renewed(Message):
    """The lease was renewed. A supervisor that is frozen or cut off sends nothing."""

    type: Literal["renewed"] = "renewed"


StopCause = Literal["cancel", "pause", "shutdown", "drain", "preempt", "max_runtime"]


class Stop(Message):
    """Stop at the next batch boundary and keep what was trained."""

    type: Literal["stop"] = "stop"
    cause: StopCause


AnyCommand = WarmUp | Start | Renewed | Stop
Command = Annotated[AnyCommand, Field(discriminator="type")]

# --- From the child -----------------------------------------------------------------------------------------------


class WarmedUp(Message):
    """The child waits for its job. The answer to `warm_up`."""

    type: Literal["warmed_up"] = "warmed_up"


class PhaseChanged(Message):
    type: Literal["phase_changed"] = "phase_changed"
    phase: Phase


class Progress(Message):
    """Sent at most twice a second."""

    type: Literal["progress"] = "progress"
    position: Position
    steps: int = Field(description="steps of an epoch")
    metrics: dict[str, float] = Field(
        default_factory=dict, description="the metrics of the running epoch, NaN and infinity included"
    )
    is_point: bool = Field(default=False, description="whether it becomes a point of the series within the epoch")


class Resumed(Message):
    """Training continues from a snapshot that was taken at `position`."""

    type: Literal["resumed"] = "resumed"
    position: Position
    differences: list[str] = Field(description="why the numbers may differ in their last bits; empty: they do not")


class ResourcesUsed(Message):
    """What the process has used since it was forked. The message before the last one."""

    type: Literal["resources_used"] = "resources_used"
    cpu_seconds: float
    peak_memory_bytes: int


class Ended(Message):
    """The child's last message. It counts more than the exit code."""

    type: Literal["ended"] = "ended"
    reason: Reason
    message: str
    may_recover: bool = Field(default=False, description="whether it may work later, or on another machine")


class SnapshotRefused(Message):
    """The last message of a child that cannot resume: its snapshot is damaged, or does not match the job."""

    type: Literal["snapshot_refused"] = "snapshot_refused"
    message: str


class Stopped(Message):
    """The last message of a child that was told to make room. The job is requeued or paused."""

    type: Literal["stopped"] = "stopped"


LastMessage = Ended | SnapshotRefused | Stopped
FileReport = CheckpointWritten | SnapshotWritten | ArtifactWritten
AnyReport = WarmedUp | PhaseChanged | Resumed | Progress | EpochEnded | FileReport | ResourcesUsed | LastMessage
Report = Annotated[AnyReport, Field(discriminator="type")]

_COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(Command)
_REPORTS: TypeAdapter[AnyReport] = TypeAdapter(Report)


def encode(message: Message) -> bytes:
    return message.model_dump_json().encode() + b"\n"


def decode_command(line: bytes) -> AnyCommand:
    """Return the command in a line.

    Raises:
        pydantic.ValidationError: the line is not a command.
    """
    return _COMMANDS.validate_json(line)


def decode_report(line: bytes) -> AnyReport:
    """Return the report in a line.

    Raises:
        pydantic.ValidationError: the line is not a report.
    """
    return _REPORTS.validate_json(line)
