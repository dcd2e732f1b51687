"""The command that compares jobs, and the curves of one job as text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Final

import click
from rich.text import Text

from fitqueue.cli.job_names import find_job
from fitqueue.cli.lists import shown_ids
from fitqueue.cli.options import json_option
from fitqueue.cli.output import make_console, print_json, print_table, remark, width_of, wrap_for_terminal
from fitqueue.cli.screen import state_text
from fitqueue.cli.tables import Column
from fitqueue.cli.text import between, number, printable
from fitqueue.client import Client
from fitqueue.differences import MISSING, Row, as_text
from fitqueue.differences import compare as compare_documents
from fitqueue.pictures.curves import Curve, Point, charts_of
from fitqueue.pictures.text_plots import text_plot
from fitqueue.text import one_line, truncate
from fitqueue.views import EpochView, JobView

_MAX_JOBS: Final = len(ascii_uppercase)
_MAX_WIDTH: Final = 80
_MAX_METRICS: Final = 3
_MAX_VALUE: Final = 200
_RATE: Final = "learning_rate"
_MARKS: Final = {"train": "•", "validation": "o"}


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@click.option("--metric", "metrics", multiple=True, help="Draw this metric; can be repeated. By default: the best's.")
@json_option
def compare(jobs: tuple[str, ...], metrics: tuple[str, ...], as_json: bool) -> None:
    """Compare JOBS: their best values, their curves, and in what their specs differ.

    A difference is named by its JSON pointer, such as /compile/optimizer/config/learning_rate.
    """
    with Client() as client:
        ids = list(dict.fromkeys(find_job(client, job) for job in jobs[: _MAX_JOBS + 1]))
        if not 2 <= len(ids) <= _MAX_JOBS:
            raise click.UsageError(f"Expected 2 to {_MAX_JOBS} different jobs.")
        views = [client.get(id) for id in ids]
        epochs = [] if as_json else [client.metrics(id) for id in ids]
    differences = [row for row in compare_documents([view.spec for view in views]) if row.differs]
    if as_json:
        rows = [_json(row, views) for row in differences]
        print_json({"jobs": [_summary(view) for view in views], "differences": rows})
        return
    _print_bests(views)
    for name in metrics or _drawn_metrics(views, epochs):
        _print_plot(name, {mark: _points(rows, name) for mark, rows in zip(ascii_uppercase, epochs, strict=False)})
    _print_differences(differences, len(views))


def print_curves(epochs: Sequence[EpochView]) -> None:
    """Print the curves of one job: each metric in training and in validation."""
    for chart in charts_of(epochs):
        if chart.name != _RATE:
            legend = ", ".join(f"{_MARKS[curve.label]} {_last(curve)}" for curve in chart.curves)
            _print_plot(f"{chart.name}: {legend}", {_MARKS[curve.label]: curve.points for curve in chart.curves})


def _last(curve: Curve) -> str:
    return f"{curve.label} {number(curve.last)}"


def _print_bests(views: Sequence[JobView]) -> None:
    ids = shown_ids([view.id for view in views])
    columns: list[Column | str] = ["CURVE", Column("NAME", wraps=True), Column("ID", rank=5), Column("STATE", rank=4)]
    columns += [Column("BEST", wraps=True, narrow=True, rank=2), Column("IN EPOCH", rank=3), "EPOCHS", "RAN"]
    rows: list[list[str | Text]] = [
        [
            mark,
            view.name or "",
            ids[view.id],
            state_text(view),
            f"{view.best.monitor} {number(view.best.value)}" if view.best else "",
            str(view.best.epoch) if view.best else "",
            f"{view.progress.epoch}/{view.progress.epochs}",
            between(view.started_at, view.finished_at),
        ]
        for mark, view in zip(ascii_uppercase, views, strict=False)
    ]
    print_table(columns, rows)


def _drawn_metrics(views: Sequence[JobView], epochs: Sequence[Sequence[EpochView]]) -> Iterator[str]:
    """Yield the metrics by which the jobs found their best epochs, then the losses."""
    logged = dict.fromkeys(name for rows in epochs for row in rows for name in row.metrics if name != _RATE)
    monitors = dict.fromkeys(view.best.monitor for view in views if view.best and view.best.monitor in logged)
    losses = [name for name in ("loss", "val_loss") if name in logged]
    yield from list(dict.fromkeys([*monitors, *losses]))[:_MAX_METRICS]


def _points(epochs: Sequence[EpochView], name: str) -> list[Point]:
    values = [(row.epoch, row.metrics[name]) for row in epochs if name in row.metrics]
    return [Point(epoch, math.nan if value is None else value) for epoch, value in values]


def _print_plot(title: str, curves: Mapping[str, Sequence[Point]]) -> None:
    lines = text_plot(curves, min(width_of(make_console()) or _MAX_WIDTH, _MAX_WIDTH))
    if lines:
        click.echo("\n".join(["", wrap_for_terminal(printable(title)), *lines]))
    else:
        remark(f"{title}: there is no finite value to draw.")


def _print_differences(rows: Sequence[Row], count: int) -> None:
    if not rows:
        remark("The specs do not differ.")
        return
    click.echo()
    marks = [Column(mark, wraps=True) for mark in ascii_uppercase[:count]]
    print_table([Column("DIFFERENCE", wraps=True), *marks], [[row.pointer, *map(_text, row.values)] for row in rows])


def _text(value: Any) -> str:
    return "-" if value is MISSING else truncate(one_line(as_text(value)), _MAX_VALUE)


def _summary(view: JobView) -> dict[str, Any]:
    return view.model_dump(mode="json", exclude={"spec", "notices", "model", "diagnosis"})


def _json(row: Row, views: Sequence[JobView]) -> dict[str, Any]:
    """Return a difference with the value of each job that has one."""
    values = zip(views, row.values, strict=True)
    return {"pointer": row.pointer, "values": {view.id: value for view, value in values if value is not MISSING}}
