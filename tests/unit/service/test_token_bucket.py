"""Token buckets: a minute's worth at once, and then evenly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.token_bucket import TokenBuckets


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_holder_has_a_bucket() -> None:
    buckets = TokenBuckets(Clock())
    assert [buckets.take("ada", 2) for _ in range(3)] == [True, True, False]
    assert buckets.take("bob", 2)


def test_a_bucket_is_refilled_evenly_and_not_beyond_a_minute() -> None:
    clock = Clock()
    buckets = TokenBuckets(clock)
    assert [buckets.take("ada", 60) for _ in range(61)] == [True] * 60 + [False]
    clock.now = 1.0
    assert [buckets.take("ada", 60) for _ in range(2)] == [True, False]
    clock.now = 1000.0
    assert [buckets.take("ada", 60) for _ in range(61)] == [True] * 60 + [False]


def test_a_limit_that_was_lowered_holds_at_once() -> None:
    buckets = TokenBuckets(Clock())
    assert buckets.take("ada", 1000)
    assert sum(buckets.take("ada", 5) for _ in range(10)) == 5


@given(pauses=st.lists(st.floats(0, 30), min_size=1, max_size=200), limit=st.integers(1, 30))
def test_no_minute_has_more_than_twice_the_limit(pauses: list[float], limit: int) -> None:
    """What was saved is used at most once beside what comes in that minute."""
    clock, taken = Clock(), []
    buckets = TokenBuckets(clock)
    for pause in pauses:
        clock.now += pause
        if buckets.take("ada", limit):
            taken.append(clock.now)
    for start in taken:
        assert sum(start <= moment < start + 60 for moment in taken) <= 2 * limit


@pytest.mark.parametrize("per_minute", [1, 120])
def test_the_first_request_is_answered(per_minute: int) -> None:
    assert TokenBuckets(Clock()).take("ada", per_minute)
