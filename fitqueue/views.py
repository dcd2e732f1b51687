"""The JSON bodies of the API's answers, shared by the service and the client.

Times are RFC 3339 in UTC. A metric that is NaN or infinite is `null`, and `non_finite_values` says which of them it is.
The models ignore unknown fields, because a newer service may send fields that an older client does not know.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, model_validator

from fitqueue.dataset_views import ArrayView as ArrayView
from fitqueue.dataset_views import DatasetPreview as DatasetPreview
from fitqueue.dataset_views import DatasetView as DatasetView
from fitqueue.dataset_views import LeftOutArray as LeftOutArray
from fitqueue.diagnosis import Diagnosis
from fitqueue.errors import Fault
from fitqueue.metric_views import EpochView as EpochView
from fitqueue.metric_views import NumberedStepView as NumberedStepView
from fitqueue.metric_views import StepView as StepView
from fitqueue.model_views import LayerView as LayerView
from fitqueue.model_views import MemoryEstimate as MemoryEstimate
from fitqueue.model_views import ModelSummary as ModelSummary
from fitqueue.pictures.picture import Picture, Pictured
from fitqueue.retention import Removable
from fitqueue.states import EventKind, JobState, Phase, Reason
from fitqueue.text import number
from fitqueue.usage_views import JobUsage as JobUsage
from fitqueue.usage_views import OwnerUsage as OwnerUsage
from fitqueue.usage_views import StoredBytes as StoredBytes
from fitqueue.usage_views import Use as Use
from fitqueue.view import View
from fitqueue.webhook_views import DeliveryView as DeliveryView
from fitqueue.webhook_views import NewWebhook as NewWebhook
from fitqueue.webhook_views import WebhookView as WebhookView
from fitqueue.worker_views import GPUUse as GPUUse
from fitqueue.worker_views import WorkerView as WorkerView

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a filtered list. `next_cursor`, sent as `?cursor=`, gets the next page; null on the last one."""

    data: list[Item]
    next_cursor: str | None = None
    total: int | None = Field(
        default=None,
        description="with `?total=true`: how many there are on all pages together",
        exclude_if=lambda total: total is None,
    )


class Problem(BaseModel):
    """A problem document (RFC 9457), with the additional members `code`, `request_id` and `errors`."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[Fault] = Field(default_factory=list)


class Notice(View):
    """Something in the job that was translated, or that deserves a second look."""

    pointer: str = Field(description="where: a JSON pointer (RFC 6901) into the body")
    code: str
    message: str
    pointers: list[str] = Field(
        default_factory=list,
        description="what the message is about, up to a hundred places; the first is `pointer`",
    )

    @model_validator(mode="after")
    def _has_its_pointer(self) -> "Notice":
        self.pointers = self.pointers or [self.pointer]
        return self


class Progress(View):
    """How far a training has come."""

    epoch: int = Field(description="the current epoch, 1-based; 0 before the first one begins")
    epochs: int = Field(description="how many epochs the job trains in all")
    step: int = Field(description="steps that are done in this epoch")
    steps: int | None = Field(description="steps per epoch; null before the training begins")
    percent: float
    eta_seconds: float | None = Field(
        default=None, description="estimated seconds until the last epoch of a running job ends; null if nobody knows"
    )
    metrics: dict[str, float | None] = Field(
        default_factory=dict,
        description="the metrics of this epoch up to this step; null where not finite; at most a hundred",
    )


class Best(View):
    """The best epoch so far: the one whose weights are stored as `best`."""

    epoch: int
    monitor: str = Field(description="name of the metric that was compared")
    value: float | None


class QueueForecast(View):
    """When a waiting job starts, as far as that is known."""

    ahead: int = Field(
        default=0, description="how many waiting jobs go before it, those of other pools of its workers among them"
    )
    starts_in_seconds: float | None = Field(
        default=None, description="estimated seconds until a worker starts it; null if nobody knows"
    )
    may_start_earlier: bool = Field(
        default=False,
        description="whether `starts_in_seconds` is an upper bound: callbacks may end jobs before it earlier",
    )


class QueuePosition(QueueForecast):
    """The position of a waiting job in the queue of its pool."""

    position: int = Field(description="1 is the next job of its pool")
    waiting_for: str = Field(description="what the job is waiting for, as a noun phrase: `a free worker`")


class QueuedJob(QueueForecast):
    """A job that waits for a worker."""

    SHOWN = ("id", "name", "pool", "position", "waiting_for")

    id: str
    name: str | None
    pool: str
    priority: int
    preemptible: bool = Field(default=False, description="whether it runs on idle devices, and makes room for others")
    gpus: int
    labels: dict[str, str]
    owner: str | None = Field(default=None, description="name of the user whose job it is")
    project: str | None = None
    submitted_by: str | None = Field(description="name of the token that it was submitted with; null if unknown")
    position: int = Field(description="1 is the next job of its pool")
    waiting_for: str = Field(description="what the job is waiting for, as a noun phrase: `a free worker`")
    created_at: datetime
    queued_since: datetime = Field(
        description="since when it waits: since it was submitted, or was last requeued, resumed or extended"
    )
    finishes_at: datetime | None = Field(
        default=None, description="when it will have ended, estimated; null if nobody knows, and once it has ended"
    )
    may_finish_earlier: bool = Field(
        default=False,
        description="whether `finishes_at` is an upper bound: a callback may end the job, or one before it, earlier",
    )


class JobSummary(View, Pictured):
    """A job as it appears in lists."""

    id: str
    name: str | None
    state: JobState
    reason: Reason | None
    message: str | None = Field(description="why the job ended, in words")
    phase: Phase | None
    progress: Progress
    best: Best | None
    queue: QueuePosition | None
    attempt: int
    max_attempts: int
    pool: str
    priority: int
    preemptible: bool = Field(default=False, description="whether it runs on idle devices, and makes room for others")
    labels: dict[str, str]
    owner: str | None = Field(default=None, description="name of the user whose job it is")
    project: str | None = None
    keep: bool = Field(default=False, description="whether the retention of its project removes nothing of it")
    submitted_by: str | None = Field(
        default=None, description="name of the token that it was submitted with; null if unknown"
    )
    worker: str | None
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None = Field(
        default=None, description="set while a running job has been asked to pause and has not yet stopped"
    )
    preempt_requested_at: datetime | None = Field(
        default=None, description="set while a preemptible job has been asked to make room and has not yet stopped"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    finishes_at: datetime | None = Field(
        default=None, description="when it will have ended, estimated; null if nobody knows, and once it has ended"
    )
    may_finish_earlier: bool = Field(
        default=False,
        description="whether `finishes_at` is an upper bound: a callback may end the job, or one before it, earlier",
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        best = f"{self.best.monitor} {number(self.best.value)}" if self.best else None
        epoch = f"{self.progress.epoch}/{self.progress.epochs}"
        values = {"id": self.id, "name": self.name, "state": self.state, "reason": self.reason, "epoch": epoch}
        return self._printed([*values.items(), ("best", best)])

    def _picture(self) -> Picture:
        from fitqueue.pictures.jobs import picture_of_job

        return picture_of_job(self)


class RemovedView(View):
    """Something that an ended job no longer has."""

    SHOWN = ("what", "at")

    what: Removable
    at: datetime
    days: int = Field(description="how many days after the end of the job it was kept")
    project: str
    message: str = Field(description="why, as a sentence")


class JobView(JobSummary):
    """A job with its spec, its model and the diagnosis of its losses."""

    spec: dict[str, Any] = Field(description="the job as the service understood it, with defaults filled in")
    notices: list[Notice]
    model: ModelSummary | None = Field(default=None, description="null where the model was not checked")
    diagnosis: Diagnosis | None = Field(
        default=None, description="what the losses say about the training; null before the first epoch has ended"
    )
    removed: list[RemovedView] = Field(
        default_factory=list, description="what the retention of its project has removed since it ended"
    )


class ComparedJob(View):
    """What the training of a compared job came to."""

    id: str
    name: str | None
    state: JobState
    best: Best | None
    last: EpochView | None = Field(description="its last epoch that has ended; null before the first one has")
    epochs_trained: int
    seconds: float = Field(description="how long these epochs took together")


class Difference(View):
    """A place at which the specs of compared jobs differ."""

    pointer: str = Field(description="where: a JSON pointer (RFC 6901) into the specs")
    values: dict[str, Any] = Field(
        description="the value of each job, by the job's id; a job whose spec has none is missing"
    )
    too_long: list[str] = Field(
        default_factory=list, description="ids of jobs that have a value here which is too long for this answer"
    )


class JobDiff(View):
    """In what the specs of two jobs differ, beside what their trainings came to."""

    jobs: list[ComparedJob] = Field(description="the two jobs, in the order of the address")
    differences: list[Difference]
    is_complete: bool = Field(description="false if there are more differences than the answer has")


class LoginLink(View):
    """A link that logs a browser in."""

    url: str
    expires_at: datetime


class DryRun(View):
    """The answer to `POST /jobs?dry_run=true`: the service would accept the job; nothing was stored."""

    SHOWN = ("model", "notices")

    spec: dict[str, Any]
    notices: list[Notice]
    model: ModelSummary | None = Field(default=None, description="null where the model was not checked")


class EventView(View):
    """Something that happened to a job."""

    SHOWN = ("id", "kind", "at", "attempt", "message")

    id: int
    kind: EventKind
    at: datetime
    attempt: int
    message: str
    data: dict[str, Any]


class LogLine(View):
    """A line that the training printed."""

    SHOWN = ("id", "stream", "text")

    id: int
    at: datetime
    attempt: int
    stream: Literal["stdout", "stderr"]
    text: str


class JobNews(BaseModel):
    """What is new of a job since an answer that a client has."""

    job: JobSummary
    diagnosis: Diagnosis | None = Field(description="null if no epoch is new and the job has not ended")
    valid_epoch: int = Field(description="the client's epochs up to this one are still those of the job")
    epochs: list[EpochView] = Field(description="the epochs after `valid_epoch`")
    valid_point: int = Field(description="the client's points up to this ordinal are still those of the job")
    points: list[NumberedStepView] = Field(description="the points within epochs after `valid_point`")
    events: list[EventView]
    lines: list[LogLine] = Field(description="lines of the log")
    is_complete: bool = Field(description="false if there is more already: ask again at once")


class CheckpointView(View):
    """A stored file of weights, or of a whole model."""

    SHOWN = ("name", "epoch", "monitor", "value", "size")

    name: str = Field(
        description="the name that ModelCheckpoint's template gave it, or the service's: `best`, `last`, "
        "`last_with_optimizer`"
    )
    format: Literal["weights.h5", "keras"]
    epoch: int
    batch: int | None = Field(
        description="the batch after which it was saved; null if it was saved at the end of an epoch"
    )
    metrics: dict[str, float | None]
    monitor: str | None
    value: float | None
    size: int = Field(description="bytes")
    sha256: str
    has_optimizer: bool = Field(default=False, description="whether it holds the variables of the optimizer, too")
    created_at: datetime
    href: str


class ArtifactView(View):
    """A file that a callback wrote, other than weights."""

    SHOWN = ("name", "size")

    name: str = Field(description="the name from the callback's `filename` or `log_dir`")
    size: int = Field(description="bytes")
    sha256: str
    created_at: datetime
    href: str


class Readiness(BaseModel):
    """Whether the service can do its work."""

    ready: bool
    parts: dict[str, str] = Field(description="for each part of the service: `ok`, or what is wrong with it")
