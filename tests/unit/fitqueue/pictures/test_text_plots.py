"""Curves as text."""

import math

from hypothesis import given
from hypothesis import strategies as st

from fitqueue.pictures.curves import Point
from fitqueue.pictures.text_plots import HEIGHT, text_plot


def points(*values: float) -> list[Point]:
    return [Point(epoch, value) for epoch, value in enumerate(values, 1)]


def test_a_falling_line_goes_from_one_corner_to_the_other() -> None:
    assert text_plot({"A": points(4, 3, 2, 1)}, 19, 4) == [
        "4 │AAA",
        "  │   AAAAA",
        "  │        AAAAA",
        "1 │             AAA",
        "   epoch 1        4",
    ]


def test_a_gap_stays_a_gap_and_the_first_of_two_curves_is_seen() -> None:
    lines = text_plot({"A": points(1, math.nan, 1), "B": points(0, 1, 1)}, 20, 3)
    top = lines[0].partition("│")[2]
    assert (top[0], top[-1]) == ("A", "A")
    assert "B" in top
    assert text_plot({"A": points(math.nan)}, 40) == []


def test_one_epoch_and_one_value() -> None:
    lines = text_plot({"A": points(0.5)}, 30)
    assert sum(line.count("A") for line in lines) == 1
    assert lines[-1].strip() == "epoch 1"


@given(
    st.lists(st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf]), min_size=1, max_size=300),
    st.integers(40, 120),
)
def test_any_curve_keeps_the_width(values: list[float], width: int) -> None:
    lines = text_plot({"•": points(*values)}, width)
    assert len(lines) == (HEIGHT + 1 if any(map(math.isfinite, values)) else 0)
    assert all(len(line) <= width for line in lines)
