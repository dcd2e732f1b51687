"""The table that compares jobs: its columns, what is best in each, and its order. Pure functions."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final

from fitqueue.cli.text import number
from fitqueue.non_finite import word_of
from fitqueue.states import JobState
from fitqueue.text import duration
from fitqueue.views import JobSummary
from service.store.compared_jobs import Trained

RATE: Final = "learning_rate"
"""Keras's callbacks log the rate among the metrics."""

_METRIC: Final = "metric:"
"""Begins the key of a metric's column: a metric may be called like another column."""

_HIGHER_IS_BETTER: Final = (
    *("accuracy", "acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "cosine_similarity"),
    *("sensitivity", "specificity", "dice", "hits"),
)
_LOWER_IS_BETTER: Final = ("loss", "error", "mse", "mae", "rmse", "perplexity", "crossentropy", "divergence", "hinge")


@dataclass(frozen=True)
class Cell:
    """One value of a job: as people read it, and as it is sorted. None is a value that the job does not have."""

    text: str = ""
    value: float | str | None = None
    is_best: bool = False


@dataclass(frozen=True)
class Column:
    """One column. `title` is the name of a metric; the others have a word of the pages."""

    key: str
    title: str | None = None


@dataclass(frozen=True)
class Line:
    """One job of the table."""

    job: JobSummary
    label: str
    cells: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    columns: Sequence[Column]
    lines: Sequence[Line]


def compare(jobs: Sequence[JobSummary], trained: Mapping[str, Trained], sort: str = "") -> Comparison:
    """Return the table. `sort` is the key of a column, with `-` before it for the highest first."""
    names = _metric_names(trained)
    columns = [Column(key) for key in ("name", "state", "best", "best_epoch")]
    columns += [Column(f"{_METRIC}{name}", name) for name in names]
    columns += [Column("epochs"), Column("duration")]
    labels = labels_of(jobs)
    lines = [Line(job, labels[job.id], _cells(job, labels[job.id], trained.get(job.id), names)) for job in jobs]
    return Comparison(columns, _sorted(_with_bests(lines, names), sort))


def labels_of(jobs: Sequence[JobSummary]) -> dict[str, str]:
    """Return what to call each job: by its name, with the end of its id where another one has the same name."""
    names = [job.name for job in jobs]
    return {
        job.id: job.id if not job.name else job.name if names.count(job.name) == 1 else f"{job.name} (…{job.id[-6:]})"
        for job in jobs
    }


def direction(name: str) -> int:
    """Return 1 if a higher value of a metric is better, -1 if a lower one is, and 0 if its name does not say it."""
    name = name.lower()
    if any(word in name for word in _LOWER_IS_BETTER):
        return -1
    return 1 if any(word in name for word in _HIGHER_IS_BETTER) else 0


def _metric_names(trained: Mapping[str, Trained]) -> list[str]:
    names = dict.fromkeys(name for row in trained.values() for name in row.last.metrics)
    return [name for name in names if name != RATE]


def _cells(job: JobSummary, label: str, trained: Trained | None, names: Sequence[str]) -> dict[str, Cell]:
    metrics = trained.last.metrics if trained else {}
    cells = {"name": Cell(label, label.lower()), "state": Cell(job.state, job.state)}
    if job.best:
        cells["best"] = Cell(f"{job.best.monitor} {number(job.best.value)}", job.best.value)
        cells["best_epoch"] = Cell(str(job.best.epoch), job.best.epoch)
    cells |= {f"{_METRIC}{name}": _metric_cell(metrics[name]) for name in names if name in metrics}
    if trained:
        cells["epochs"] = Cell(f"{trained.last.epoch}/{job.progress.epochs}", trained.last.epoch)
        cells["duration"] = Cell(duration(trained.seconds), trained.seconds)
    return cells


def _metric_cell(value: float) -> Cell:
    return Cell(word_of(value) or number(value), value if math.isfinite(value) else None)


def _with_bests(lines: Sequence[Line], names: Sequence[str]) -> list[Line]:
    """Mark the best cells: of each metric, of each monitor, and the shortest training of those that succeeded."""
    best: set[tuple[str, str]] = set()
    for name in names:
        best |= _best_of(lines, f"{_METRIC}{name}", direction(name))
    for monitor in {line.job.best.monitor for line in lines if line.job.best}:
        same = [line for line in lines if line.job.best and line.job.best.monitor == monitor]
        best |= _best_of(same, "best", direction(monitor))
    best |= _best_of([line for line in lines if line.job.state is JobState.SUCCEEDED], "duration", -1)
    return [_with_marks(line, best) for line in lines]


def _with_marks(line: Line, best: Set[tuple[str, str]]) -> Line:
    cells = {key: replace(cell, is_best=(line.job.id, key) in best) for key, cell in line.cells.items()}
    return replace(line, cells=cells)


def _best_of(lines: Sequence[Line], key: str, sign: int) -> set[tuple[str, str]]:
    """Return the jobs, with `key`, whose value is the best; none where there is nothing to choose from."""
    values = {line.job.id: line.cells[key].value for line in lines if key in line.cells}
    numbers = {id: sign * value for id, value in values.items() if isinstance(value, float | int)}
    if sign == 0 or len(numbers) < 2 or len(set(numbers.values())) == 1:
        return set()
    return {(id, key) for id, value in numbers.items() if value == max(numbers.values())}


def _sorted(lines: Sequence[Line], sort: str) -> list[Line]:
    """Return the lines in order. Those without a value come last, whichever way the others go."""
    key = sort.removeprefix("-")
    with_value = [line for line in lines if key in line.cells and line.cells[key].value is not None]
    without = [line for line in lines if line not in with_value]
    # The values of one column are of one type.
    with_value.sort(key=lambda line: line.cells[key].value, reverse=sort.startswith("-"))  # type: ignore[arg-type,return-value]
    return [*with_value, *without] if with_value else list(lines)
