"""The table that compares jobs."""

import math
from datetime import UTC, datetime

import pytest

from fitqueue.states import JobState
from fitqueue.views import Best, JobSummary, Progress
from service.pages.comparison import Comparison, compare, direction, labels_of
from service.store.compared_jobs import Trained
from service.store.metrics import EpochRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(id: str, name: str | None = None, best: Best | None = None, state: JobState = JobState.SUCCEEDED) -> JobSummary:
    return JobSummary(
        id=id, name=name, state=state, reason=None, message=None, phase=None, best=best, queue=None, attempt=1,
        progress=Progress(epoch=3, epochs=9, step=0, steps=None, percent=0), max_attempts=5, pool="default",
        priority=0, labels={}, worker=None, cancel_requested_at=None, created_at=NOW, started_at=NOW, finished_at=None,
    )  # fmt: skip


def trained(seconds: float = 1.0, epoch: int = 3, **metrics: float) -> Trained:
    return Trained(EpochRow(epoch, metrics, 0.1, 1.0, 1.0, 1, NOW), seconds)


def marked(table: Comparison, key: str) -> list[str]:
    return [line.job.id for line in table.lines if key in line.cells and line.cells[key].is_best]


def order(table: Comparison) -> list[str]:
    return [line.job.id for line in table.lines]


def test_the_last_values_are_shown_and_the_best_is_marked() -> None:
    table = compare(
        [job("a"), job("b")],
        {"a": trained(loss=0.5, accuracy=0.9), "b": trained(loss=0.25, accuracy=0.8, learning_rate=0.1)},
    )
    assert [column.title for column in table.columns if column.title] == ["loss", "accuracy"]
    assert [line.cells["metric:loss"].text for line in table.lines] == ["0.5", "0.25"]
    assert (marked(table, "metric:loss"), marked(table, "metric:accuracy")) == (["b"], ["a"])
    assert [line.cells["epochs"].text for line in table.lines] == ["3/9", "3/9"]


def test_a_value_that_is_not_finite_is_never_the_best() -> None:
    table = compare(
        [job(id) for id in "abc"], {"a": trained(loss=math.nan), "b": trained(loss=1.0), "c": trained(loss=2)}
    )
    assert table.lines[0].cells["metric:loss"].text == "NaN"
    assert marked(table, "metric:loss") == ["b"]


def test_nothing_is_marked_where_there_is_nothing_to_choose_from() -> None:
    table = compare([job("a"), job("b")], {"a": trained(loss=1.0, units=3), "b": trained(loss=1.0, units=4)})
    assert [marked(table, key) for key in ("metric:loss", "metric:units")] == [[], []]


def test_bests_are_compared_with_those_of_the_same_monitor() -> None:
    bests = [Best(epoch=1, monitor=name, value=value) for name, value in
             (("val_loss", 0.3), ("val_loss", 0.2), ("val_accuracy", 0.7), ("val_accuracy", 0.8))]  # fmt: skip
    table = compare([job(id, best=best) for id, best in zip("abcd", bests, strict=True)], {})
    assert marked(table, "best") == ["b", "d"]


def test_only_jobs_that_succeeded_have_the_shortest_training() -> None:
    jobs = [job("a"), job("b"), job("c", state=JobState.FAILED)]
    assert marked(compare(jobs, {"a": trained(9), "b": trained(5), "c": trained(1)}), "duration") == ["b"]


def test_jobs_are_sorted_and_those_without_a_value_come_last() -> None:
    jobs = [job("a"), job("b"), job("c"), job("d")]
    values = {"a": trained(loss=2), "b": trained(loss=math.nan), "c": trained(loss=1)}
    assert order(compare(jobs, values)) == ["a", "b", "c", "d"]
    assert order(compare(jobs, values, "metric:loss")) == ["c", "a", "b", "d"]
    assert order(compare(jobs, values, "-metric:loss")) == ["a", "c", "b", "d"]
    assert order(compare(jobs, values, "nothing")) == ["a", "b", "c", "d"]


def test_jobs_of_one_name_are_told_apart() -> None:
    labels = labels_of([job("job_111111", "x"), job("job_222222", "x"), job("job_3", "y"), job("job_4")])
    assert list(labels.values()) == ["x (…111111)", "x (…222222)", "y", "job_4"]


@pytest.mark.parametrize(
    ("name", "better"),
    [("loss", -1), ("val_loss", -1), ("mean_absolute_error", -1), ("val_accuracy", 1), ("auc_2", 1), ("units", 0),
     ("root_mean_squared_error", -1), ("out_loss", -1), ("cosine_similarity", 1)],
)  # fmt: skip
def test_the_name_of_a_metric_says_which_is_better(name: str, better: int) -> None:
    assert direction(name) == better
