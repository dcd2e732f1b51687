"""A whole job, as the service stores it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.spec.fields.data import DataSpec
from fitqueue.spec.fields.logged import logged_names, metrics_of
from fitqueue.spec.fields.training import MAX_OBJECTS, CompileSpec, FitSpec, InitialWeights, KerasObject, Resources
from fitqueue.spec.strict import Pattern, Strict

MAX_SEED: Final = 2**32 - 1
MAX_RUNTIME_SECONDS: Final = 366 * 24 * 3600
MAX_PRIORITY: Final = 100
MAX_LABELS: Final = 64

LabelKey = Annotated[
    str,
    Pattern(
        "[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?",
        "1 to 63 letters, digits, dots, slashes, dashes and underscores, with a letter or digit at both ends",
    ),
]
JobName = Annotated[
    str, Field(min_length=1, max_length=128), Pattern(r"[^\x00-\x1f\x7f]*", "a string without control characters")
]
LabelValue = Annotated[str, Field(max_length=255)]
ProjectName = Annotated[
    str,
    Pattern(
        "[a-z0-9][a-z0-9_-]{0,62}",
        "1 to 63 lower-case letters, digits, dashes and underscores, beginning with a letter or digit",
    ),
]
Priority = Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]
Seconds = Annotated[int, Field(ge=1, le=MAX_RUNTIME_SECONDS)]


class JobSpec(Strict):
    """A job as the service understands it, with all defaults filled in."""

    name: JobName | None = Field(default=None, description="a name for people")
    project: ProjectName = Field(default=DEFAULT_PROJECT, description="the project that the job belongs to")
    model: KerasObject = Field(description="the model: what `to_json()` returns, or its short form")
    compile: CompileSpec = Field(description="the arguments of `model.compile`")
    data: DataSpec = Field(description="the data set, and its arrays that the model trains and validates on")
    fit: FitSpec = Field(default_factory=FitSpec, description="the arguments of `model.fit`")
    callbacks: list[KerasObject] = Field(
        default_factory=list, max_length=MAX_OBJECTS, description="Keras's callbacks, in the order in which they run"
    )
    resources: Resources = Field(default_factory=Resources, description="what the job needs of a worker")
    initial_weights: InitialWeights | None = Field(
        default=None, description="where the weights come from that training starts with; null: newly initialized"
    )
    save_optimizer: bool = Field(
        default=False, description="save the model with its optimizer when training ends, to go on from there"
    )
    priority: Priority = Field(default=0, description="jobs with a higher priority start sooner")
    preemptible: bool = Field(
        default=False, description="run on devices that nobody else needs, and make room when somebody does"
    )
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="drawn at random if it is not given")
    deterministic: bool = Field(
        default=False, description="use only operations that give identical results each time, on GPUs too; slower"
    )
    max_runtime_seconds: Seconds | None = Field(
        default=None, description="the job fails if it trains for longer than this"
    )
    max_queued_seconds: Seconds | None = Field(
        default=None, description="the job fails if no worker has claimed it after so long in the queue"
    )
    max_attempts: int = Field(default=5, ge=1, le=100, description="how often the job is tried if its worker is lost")
    keep: bool = Field(
        default=False, description="keep all that the job leaves, whatever the retention of its project says"
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=MAX_LABELS, description="pairs of strings, to filter lists of jobs"
    )

    def to_json(self) -> dict[str, Any]:
        """Return the job as it is stored and shown; `read_job` reads it back."""
        return self.model_dump(mode="json")

    @property
    def is_validated(self) -> bool:
        """Whether an epoch of the training ends with a validation, so that `val_…` values are logged."""
        return (self.data.validation is not None or self.fit.validation_split > 0) and self.fit.validates

    @property
    def logged_names(self) -> tuple[str, ...]:
        """The names of all values that the training logs, in Keras's order."""
        return logged_names(metrics_of(self.compile, self.model), self.callbacks, validated=self.is_validated)


def read_job(stored: Mapping[str, Any]) -> JobSpec:
    """Return a stored job. Unknown fields are ignored: another version of FitQueue may have written them."""
    return JobSpec.model_validate(stored, strict=False, extra="ignore")
