"""How numbers, sizes, times and names are written for people."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.cli import text


@given(st.text())
def test_control_characters_never_reach_the_terminal(anything: str) -> None:
    shown = text.printable(anything)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    assert text.printable(shown) == shown


def test_control_characters_are_escaped() -> None:
    assert text.printable("a\x1b[31mb\u202ec\r\ud800") == "a\\x1b[31mb\\u202ec\\r\\ud800"
    assert text.printable("keeps 数字 é\tand\nlines") == "keeps 数字 é\tand\nlines"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "nan"), (0.0, "0"), (0.123456, "0.1235"), (1e-4, "0.0001"), (1e-7, "1e-07"), (12345.0, "1.234e+04")],
)
def test_numbers(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (20_000_000_000, "20.0 GB"), (3 * 10**15, "3000.0 TB")],
)
def test_sizes(count: int | None, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0.44, "0.4 s"), (12.3, "12 s"), (187, "3:07"), (3723, "1:02:03"), (59.9, "1:00"), (9.99, "10 s")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_the_time_between_two_moments_needs_both() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert text.between(start, start + timedelta(minutes=2)) == "2:00"
    assert text.between(start, None) == text.between(None, start) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_ages(seconds: int, shown: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert text.age(moment, moment + timedelta(seconds=seconds)) == shown
