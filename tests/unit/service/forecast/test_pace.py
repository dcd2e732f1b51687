"""How long a training takes, from the seconds of its epochs."""

from typing import Any

import pytest

from service.forecast.estimate import Estimate
from service.forecast.pace import RECENT_EPOCHS, Training, next_pace, time_left, whole_time


def _training(**fields: Any) -> Training:
    """Return a training that has complete 2 of 10 epochs, at 100 s each."""
    return Training(
        **{
            "epochs": 10,
            "complete": 2,
            "share": 0.0,
            "seconds_per_epoch": 100.0,
            "seconds_in_epoch": 0.0,
            "seconds_allowed": None,
            "may_end_early": False,
        }
        | fields
    )


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 800.0),
        ({"seconds_in_epoch": 30.0, "share": 0.4}, 770.0),
        ({"seconds_in_epoch": 90.0, "share": 0.99}, 710.0),
        ({"seconds_in_epoch": 150.0, "share": 0.75}, 750.0),
        ({"seconds_in_epoch": 150.0}, 700.0),
        ({"seconds_in_epoch": None}, 800.0),
        ({"complete": 0, "seconds_per_epoch": None, "seconds_in_epoch": 30.0, "share": 0.25}, 1170.0),
        ({"complete": 10}, 0.0),
        ({"complete": 10, "seconds_per_epoch": None}, 0.0),
        ({"seconds_allowed": 60.0}, 60.0),
        ({"seconds_allowed": -5.0}, 0.0),
        ({"seconds_allowed": 5000.0}, 800.0),
    ],
    ids=[
        "between epochs", "in an epoch", "validating", "slower than before", "silent", "loading", "first epoch",
        "ended", "ended, at an unknown pace", "out of time first", "out of time", "in time",
    ],
)  # fmt: skip
def test_the_time_left_of_a_training(fields: dict[str, Any], seconds: float) -> None:
    assert time_left(_training(**fields)) == Estimate(pytest.approx(seconds), False)


@pytest.mark.parametrize("fields", [{}, {"seconds_in_epoch": 3.0}, {"share": 0.5, "seconds_in_epoch": None}], ids=str)
def test_where_nothing_tells_how_long_an_epoch_takes_nobody_knows(fields: dict[str, Any]) -> None:
    assert time_left(_training(seconds_per_epoch=None, **fields)) is None
    assert time_left(_training(seconds_per_epoch=None, seconds_allowed=9.0)) is None, "a limit is not an estimate"
    assert whole_time(_training(seconds_per_epoch=None), 3.0) is None


def test_a_training_that_a_callback_may_end_has_an_upper_bound() -> None:
    assert time_left(_training(may_end_early=True)) == Estimate(800.0, True)
    assert whole_time(_training(may_end_early=True, complete=0), 20.0) == Estimate(1020.0, True)


def test_a_job_that_waits_takes_its_start_and_the_epochs_that_are_left() -> None:
    assert whole_time(_training(), 20.0) == Estimate(820.0)
    assert whole_time(_training(seconds_allowed=60.0), 20.0) == Estimate(60.0)


def test_the_first_epoch_counts_only_until_the_second_has_ended() -> None:
    assert next_pace(None, 1, 50.0) == 50.0
    assert next_pace(50.0, 2, 10.0) == 10.0
    assert next_pace(10.0, 1, 50.0) == 10.0, "an earlier attempt, or similar jobs, say more than the tracing"


def test_the_pace_follows_a_change_and_averages_what_alternates() -> None:
    pace: float | None = None
    for epoch in range(1, 1001):
        pace = next_pace(pace, epoch, 10.0 if epoch % 2 else 20.0)
    assert pace == pytest.approx(15.0, rel=0.05), "every second epoch is validated"
    for epoch in range(1001, 1001 + 4 * RECENT_EPOCHS):
        pace = next_pace(pace, epoch, 60.0)
    assert pace == pytest.approx(60.0, rel=0.05)
