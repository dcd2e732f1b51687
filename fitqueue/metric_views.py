"""The JSON bodies of rows of metrics: of epochs, and of points within them. `fitqueue.views` has all others."""

from datetime import datetime

from pydantic import BaseModel, Field

from fitqueue.non_finite import NonFinite


class EpochView(BaseModel):
    """An epoch that has ended."""

    epoch: int = Field(description="1-based")
    metrics: dict[str, float | None]
    non_finite: list[str] = Field(description="names of the metrics that were NaN or infinite")
    non_finite_values: dict[str, NonFinite] = Field(
        default_factory=dict, description="what each of these metrics was; `float(…)` reads it"
    )
    learning_rate: float | None = Field(description="the rate that this epoch was trained with")
    seconds: float
    steps_per_second: float
    attempt: int
    finished_at: datetime


class StepView(BaseModel):
    """A point within an epoch. Its metrics are those of the epoch up to this step, as in Keras's progress bar."""

    epoch: int = Field(description="1-based")
    step: int = Field(description="steps that were done in this epoch")
    metrics: dict[str, float | None] = Field(description="at most a hundred")
    non_finite: list[str] = Field(description="names of the metrics that were NaN or infinite")
    non_finite_values: dict[str, NonFinite] = Field(default_factory=dict, description="what each of these metrics was")
    attempt: int
    at: datetime


class NumberedStepView(StepView):
    """A point within an epoch, with its number among the points of its job."""

    ordinal: int
