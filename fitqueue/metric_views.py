"""The JSON bodies of rows of metrics: of epochs, and of points within them. `fitqueue.views` has all others."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from fitqueue.non_finite import NonFinite
from fitqueue.text import number
from fitqueue.view import View


class MetricRow(View):
    """A row of metrics. It is a mapping, too, with a key for each metric: `pandas.DataFrame(rows)` makes columns of it.

    Attributes:
        FIRST: the fields that are keys before the metrics.
        LAST: those behind them.
    """

    FIRST: ClassVar[tuple[str, ...]]
    LAST: ClassVar[tuple[str, ...]]

    if TYPE_CHECKING:
        metrics: dict[str, float | None]
        non_finite_values: dict[str, NonFinite]

    def keys(self) -> list[str]:
        """Return the names of the metrics, and before and behind them those of the other fields."""
        fields = (*self.FIRST, *self.LAST)
        return [*self.FIRST, *(name for name in self.metrics if name not in fields), *self.LAST]

    def __getitem__(self, key: str) -> Any:
        if key in self.FIRST or key in self.LAST:
            return getattr(self, key)
        value = self.metrics[key]
        return float(self.non_finite_values.get(key, "NaN")) if value is None else value

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # pydantic's yields pairs
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        yield from ((name, getattr(self, name)) for name in self.FIRST)
        yield from ((name, float(number(self[name]))) for name in self.metrics)


# Not a base class: its methods would be those of pydantic's that views leave out, and `get` would hide a metric.
Mapping.register(MetricRow)


class EpochView(MetricRow):
    """An epoch that has ended."""

    FIRST = ("epoch",)
    LAST = ("learning_rate", "seconds", "steps_per_second", "attempt", "finished_at")

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


class StepView(MetricRow):
    """A point within an epoch. Its metrics are those of the epoch up to this step, as in Keras's progress bar."""

    FIRST = ("epoch", "step")
    LAST = ("attempt", "at")

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
