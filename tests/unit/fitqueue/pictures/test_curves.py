"""Which values are in which chart, and which of many are drawn."""

import math

from hypothesis import given
from hypothesis import strategies as st

from fitqueue.pictures.curves import MAX_POINTS, Point, charts_of, segments, thinned
from tests.unit.fitqueue.views import epoch_view


def test_training_and_validation_share_a_chart_and_the_loss_comes_first() -> None:
    epochs = [
        epoch_view(1, {"accuracy": 0.5, "loss": 2.0}),
        epoch_view(2, {"accuracy": 0.6, "loss": 1.0, "val_accuracy": 0.4, "val_loss": 3.0, "val_only": 1.0}),
    ]
    charts = charts_of(epochs)
    assert [chart.name for chart in charts] == ["loss", "accuracy", "only"]
    loss, _, only = charts
    assert loss.train is not None
    assert loss.validation is not None
    assert loss.train.points == [Point(1, 2.0), Point(2, 1.0)]
    assert loss.validation.points == [Point(2, 3.0)], "the first epoch was not validated"
    assert (only.train, [curve.label for curve in only.curves]) == (None, ["validation"])


def test_a_value_that_is_not_finite_is_a_gap() -> None:
    epochs = [epoch_view(number, {"loss": value}) for number, value in enumerate([1.0, 2.0, None, 3.0, None], 1)]
    [chart] = charts_of(epochs)
    assert chart.train is not None
    assert list(segments(chart.train.points)) == [[Point(1, 1.0), Point(2, 2.0)], [Point(4, 3.0)]]
    assert math.isnan(chart.train.last)


@given(st.lists(st.one_of(st.floats(allow_infinity=False), st.just(math.nan)), min_size=1, max_size=3000))
def test_many_points_become_few_with_the_same_extremes(values: list[float]) -> None:
    points = [Point(epoch, value) for epoch, value in enumerate(values, 1)]
    kept = thinned(points)
    assert len(kept) <= MAX_POINTS
    assert [point.epoch for point in kept] == sorted({point.epoch for point in kept})
    finite = [value for value in values if math.isfinite(value)]
    kept_finite = [point.value for point in kept if point.is_finite]
    if finite:
        assert (min(kept_finite), max(kept_finite)) == (min(finite), max(finite))
    assert any(not point.is_finite for point in kept) == (len(finite) < len(values))


def test_few_points_are_all_drawn() -> None:
    points = [Point(epoch, 1.0) for epoch in range(MAX_POINTS)]
    assert thinned(points) is points
