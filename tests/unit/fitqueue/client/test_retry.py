"""How long the client retries, and how long it pauses between two tries."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.client.retry import LONGEST_PAUSE, LONGEST_REQUESTED_PAUSE, RetryBudget, pause_before


@given(retry=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_pauses_grow_up_to_a_limit(retry: int, jitter: float) -> None:
    pause = pause_before(retry, None, jitter)
    assert 0 < pause <= LONGEST_PAUSE
    assert pause <= pause_before(retry + 1, None, 1)


def test_jitter_spreads_the_retries_of_several_clients() -> None:
    assert pause_before(3, None, 0.0) * 2 == pause_before(3, None, 1.0)


@pytest.mark.parametrize(("requested", "seconds"), [("0", 0), ("7", 7), ("100000", LONGEST_REQUESTED_PAUSE)])
def test_the_pause_that_the_service_requests_is_used_up_to_a_limit(requested: str, seconds: float) -> None:
    assert pause_before(1, requested, 0.5) == seconds


@pytest.mark.parametrize("requested", ["-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_an_invalid_retry_after_is_ignored(requested: str) -> None:
    assert pause_before(1, requested, 0.5) == pause_before(1, None, 0.5)


def test_a_pause_that_exceeds_the_budget_is_not_started() -> None:
    assert RetryBudget(0.01).pause("No answer", "5") is False


def test_a_lasting_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    budget = RetryBudget(60)
    with caplog.at_level(logging.WARNING, "fitqueue.client"):
        assert budget.pause("No answer", "0")
        assert caplog.messages == []
        assert all(budget.pause("No answer", "0") for _ in range(3))
    assert caplog.messages == ["No answer; trying again for up to 60 s"]
