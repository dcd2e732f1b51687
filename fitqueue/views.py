"""What the API answers: the shapes of its JSON bodies, shared by the service and the client.

Times are RFC 3339 in UTC. A metric that is NaN or infinite is `null`, and its name stands in `non_finite`.
Reading is lenient: a newer service may add fields that an older client does not know.
"""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from fitqueue.diagnosis import Diagnosis
from fitqueue.errors import Fault
from fitqueue.states import EventKind, JobState, Phase, Reason

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list, filtered before it was cut. `next_cursor` goes into `?cursor=`; null on the last page."""

    data: list[Item]
    next_cursor: str | None = None


class Problem(BaseModel):
    """An error as RFC 9457 has it, with our `code`, `request_id` and `errors`."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[Fault] = Field(default_factory=list)


class Notice(BaseModel):
    """Something in the job was understood in another way than it was written, or deserves a second look."""

    pointer: str
    code: str
    message: str


class LayerView(BaseModel):
    """A line of `model.summary()`. A model that stands as a layer in another is one line."""

    name: str
    class_name: str
    output_shapes: list[list[int | None]] = Field(description="a shape for each output, the axis of samples first")
    dtype: str | None = Field(description="what it computes with")
    parameters: int
    trainable: bool
    inputs: list[str] = Field(description="names of the layers whose outputs it takes")


class MemoryEstimate(BaseModel):
    """Bytes, counted by shapes. What libraries need for themselves, and the data, come on top."""

    weights: int
    gradients: int
    optimizer: int
    activations: int = Field(description="every layer's outputs for one batch, as the backward pass needs them")
    total: int


class ModelSummary(BaseModel):
    """The model as Keras built it, without allocating a weight."""

    layers: list[LayerView]
    parameters: int
    trainable_parameters: int
    memory: MemoryEstimate


class Progress(BaseModel):
    epoch: int = Field(description="epochs begun, 1-based; 0 before the first")
    epochs: int
    step: int = Field(description="steps done in this epoch")
    steps: int | None = Field(description="steps of an epoch; null before training began")
    percent: float
    eta_seconds: float | None = None


class Best(BaseModel):
    epoch: int
    monitor: str
    value: float | None


class QueuePosition(BaseModel):
    position: int = Field(description="1 is next in its pool")
    waiting_for: str


class JobSummary(BaseModel):
    id: str
    name: str | None
    state: JobState
    reason: Reason | None
    message: str | None = Field(description="one sentence for people: why the job ended")
    phase: Phase | None
    progress: Progress
    best: Best | None
    queue: QueuePosition | None
    attempt: int
    max_attempts: int
    pool: str
    priority: int
    labels: dict[str, str]
    worker: str | None
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None = Field(
        default=None, description="while a running job is to be paused and is not yet"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobView(JobSummary):
    spec: dict[str, Any] = Field(description="the job as the service understood it, defaults filled in")
    notices: list[Notice]
    model: ModelSummary | None = Field(default=None, description="null where the model was not checked")
    diagnosis: Diagnosis | None = Field(
        default=None, description="what the losses say of the training; null before an epoch has ended"
    )


class DryRun(BaseModel):
    """The answer to `POST /jobs?dry_run=true`: the job would be taken; nothing was stored."""

    spec: dict[str, Any]
    notices: list[Notice]
    model: ModelSummary | None = Field(default=None, description="null where the model was not checked")


class EpochView(BaseModel):
    epoch: int = Field(description="1-based")
    metrics: dict[str, float | None]
    non_finite: list[str] = Field(description="names of the metrics that were NaN or infinite")
    learning_rate: float | None = Field(description="the rate that this epoch was trained with")
    seconds: float
    steps_per_second: float
    attempt: int
    finished_at: datetime


class EventView(BaseModel):
    id: int
    kind: EventKind
    at: datetime
    attempt: int
    message: str
    data: dict[str, Any]


class LogLine(BaseModel):
    id: int
    at: datetime
    attempt: int
    stream: Literal["stdout", "stderr"]
    text: str


class CheckpointView(BaseModel):
    name: str = Field(description="as the template of ModelCheckpoint gave it; `best` and `last` are the service's")
    format: Literal["weights.h5", "keras"]
    epoch: int
    batch: int | None = Field(description="the batch it was saved after; null at the end of an epoch")
    metrics: dict[str, float | None]
    monitor: str | None
    value: float | None
    size: int = Field(description="bytes")
    sha256: str
    created_at: datetime
    href: str


class ArtifactView(BaseModel):
    name: str = Field(description="as the callback's `filename` or `log_dir` gave it")
    size: int = Field(description="bytes")
    sha256: str
    created_at: datetime
    href: str


class ArrayView(BaseModel):
    name: str
    shape: list[int | None] = Field(description="null: an axis whose length differs from sample to sample")
    dtype: str


class DatasetView(BaseModel):
    id: str
    name: str
    builtin: bool
    arrays: list[ArrayView]
    size: int | None = Field(description="bytes; null for a built-in set that is downloaded when it is needed")
    sha256: str | None
    source: str | None
    created_at: datetime | None


class WorkerView(BaseModel):
    id: str
    host: str
    pools: list[str]
    slots: int
    devices: list[str] = Field(description="their names, for people")
    gpus: list[str] = Field(description="UUIDs of the GPUs it sees; other workers of its machine see the same")
    gpus_held: list[str] = Field(description="those of them that its jobs hold at the moment")
    jobs: list[str] = Field(description="ids of the jobs it trains at the moment")
    alive: bool
    started_at: datetime
    last_seen_at: datetime


class Readiness(BaseModel):
    ready: bool
    parts: dict[str, str] = Field(description="each part with `ok`, or with what is wrong")
