"""The rows that `Client.metrics` returns."""

from typing import Any, TypeVar

from fitqueue.metric_views import MetricRow

Row = TypeVar("Row", bound=MetricRow)


class Metrics(tuple[Row, ...]):
    """Rows of metrics, one for each epoch or for each point within the epochs.

    `pandas.DataFrame(metrics)` and `polars.DataFrame(metrics.columns())` have a column for each metric.
    """

    __slots__ = ()

    def columns(self) -> dict[str, list[Any]]:
        """Return the values by names, in the order of the rows; None where a row does not have one."""
        rows = [dict(row) for row in self]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def __repr__(self) -> str:
        return f"Metrics({len(self)} rows, the last: {self[-1]!r})" if self else "Metrics(0 rows)"
