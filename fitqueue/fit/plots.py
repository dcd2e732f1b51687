"""The curves of a training, drawn by matplotlib where it is installed."""

import math
from collections.abc import Sequence
from typing import Any

from fitqueue.pictures.curves import Chart, charts_of
from fitqueue.pictures.jobs import picture_of_training
from fitqueue.pictures.svg import COLOURS
from fitqueue.text import one_line, truncate
from fitqueue.views import EpochView, JobView

_COLUMNS = 3


def plot(job: JobView, epochs: Sequence[EpochView]) -> Any:
    """Return the axes of a new figure of matplotlib, or a picture."""
    try:
        from matplotlib import pyplot
    except ImportError:
        return picture_of_training(job, epochs)
    charts = charts_of(epochs)
    columns = max(1, min(_COLUMNS, len(charts)))
    rows = max(1, math.ceil(len(charts) / columns))
    figure, grid = pyplot.subplots(rows, columns, figsize=(4 * columns, 3 * rows), squeeze=False, layout="constrained")
    axes = grid.flatten()
    for axis, chart in zip(axes, charts, strict=False):
        _draw(axis, chart, job.best.epoch if job.best is not None else None)
    for axis in axes[len(charts) :]:
        figure.delaxes(axis)
    return axes[: len(charts)]


def _draw(axis: Any, chart: Chart, best_epoch: int | None) -> None:
    for curve in chart.curves:
        finite = [point.value if point.is_finite else math.nan for point in curve.points]
        epochs = [point.epoch for point in curve.points]
        axis.plot(epochs, finite, color=COLOURS[curve.label], label=curve.label, marker="o", markersize=2)
        gaps = [point.epoch for point in curve.points if not point.is_finite]
        if gaps:
            bottom = axis.get_xaxis_transform()
            axis.plot(gaps, [0.0] * len(gaps), "x", color=COLOURS[curve.label], transform=bottom, clip_on=False)
    if best_epoch is not None:
        axis.axvline(best_epoch, color="grey", linestyle=":", linewidth=1)
    # A dollar sign would begin a formula, and a name is somebody's text.
    axis.set_title(truncate(one_line(chart.name), 40), parse_math=False)
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend()
