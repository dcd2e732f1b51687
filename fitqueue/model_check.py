"""The request and the result that the service and the model checker exchange, each one JSON document.

They are defined here because neither side may import the other: the service never loads TensorFlow.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import Fault
from fitqueue.views import ModelSummary, Notice


class ModelCheckRequest(BaseModel):
    """A job to check, and what the checker needs to know about its data."""

    model_config = ConfigDict(frozen=True)

    spec: dict[str, Any] = Field(description="a JobSpec, or the PartialJob of a job with faults")
    arrays: dict[str, ArrayInfo] = Field(description="the stored arrays of the job's data set, by name")
    initial_model: dict[str, Any] | None = Field(
        default=None, description="the model of the job that this one takes its initial weights from"
    )
    initial_compile: dict[str, Any] | None = Field(
        default=None, description="how that job compiles its model, if its optimizer is continued"
    )
    initial_arrays: dict[str, ArrayInfo] | None = Field(
        default=None, description="the arrays of the data set that it takes its initial weights from"
    )
    max_bytes: int = Field(description="the most memory that training a model may need")


class ModelCheckResult(BaseModel):
    """What the checker found. Pointers lead into `spec`, the job as it is stored."""

    model_config = ConfigDict(frozen=True)

    faults: list[Fault] = Field(default_factory=list)
    notices: list[Notice] = Field(default_factory=list)
    summary: ModelSummary | None = Field(default=None, description="null: the model could not be built")
    failure: str | None = Field(default=None, description="why the check itself failed; this is not a fault of the job")
