"""What the service and the process that checks its models say to each other: one question, one answer, each one JSON.

The words stand here because neither may import the other: the service never loads TensorFlow.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fitqueue.errors import Fault
from fitqueue.views import ModelSummary, Notice


class Array(BaseModel):
    """An array of the job's data set, as it is stored; null: an axis whose length differs from sample to sample."""

    shape: list[int | None]
    dtype: str


class ModelCheckRequest(BaseModel):
    """A job, or what is sound of one: a SoundJob. `arrays` are those of its data set."""

    model_config = ConfigDict(frozen=True)

    spec: dict[str, Any]
    arrays: dict[str, Array]
    classes: int | None = Field(description="how many classes the labels of a built-in data set have")
    dataset_path: str | None = Field(description="the user's .npz on this machine, where it is on this machine")
    initial_model: dict[str, Any] | None = Field(
        default=None, description="the model of the job whose weights this one begins with"
    )
    max_bytes: int = Field(description="memory that the training of the largest model may need")


class ModelCheckResult(BaseModel):
    """Pointers lead into `spec`, the job as it is stored. Without a summary the model could not be built."""

    model_config = ConfigDict(frozen=True)

    faults: list[Fault] = Field(default_factory=list)
    notices: list[Notice] = Field(default_factory=list)
    summary: ModelSummary | None = None
    failure: str | None = Field(default=None, description="why nothing was checked; no fault of the job's")
