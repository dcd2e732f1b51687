import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.client.retry import LONGEST_PAUSE, LONGEST_REQUESTED_PAUSE, RetryBudget, pause_before


@given(retry=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_pauses_grow_and_stay_bounded(retry: int, jitter: float) -> None:
    pause = pause_before(retry, None, jitter)
    assert 0 < pause <= LONGEST_PAUSE
    assert pause <= pause_before(retry + 1, None, 1)


def test_two_clients_do_not_come_back_at_the_same_moment() -> None:
    assert pause_before(3, None, 0.0) * 2 == pause_before(3, None, 1.0)


@pytest.mark.parametrize(("requested", "seconds"), [("0", 0), ("7", 7), ("100000", LONGEST_REQUESTED_PAUSE)])
def test_what_the_service_asks_for_is_done(requested: str, seconds: float) -> None:
    assert pause_before(1, requested, 0.5) == seconds


@pytest.mark.parametrize("requested", ["-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_what_cannot_be_understood_is_passed_over(requested: str) -> None:
    assert pause_before(1, requested, 0.5) == pause_before(1, None, 0.5)


def test_patience_ends_before_it_would_be_overdrawn() -> None:
    assert RetryBudget(0.01).pause("trouble", "5") is False


def test_only_a_lasting_outage_is_told_and_only_once(caplog: pytest.LogCaptureFixture) -> None:
    retry_seconds = RetryBudget(60)
    with caplog.at_level(logging.WARNING, "fitqueue.client"):
        assert retry_seconds.pause("No answer", "0")
        assert caplog.messages == []
        assert all(retry_seconds.pause("No answer", "0") for _ in range(3))
    assert caplog.messages == ["No answer; trying again for up to 60 s"]
