"""Whose turn it is among jobs of equal priority."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.forecast.turns import (
    DEFAULT_SECONDS,
    HALF_LIFE_SECONDS,
    MAX_SCORE,
    Standing,
    charge,
    decay,
    in_order,
    level,
    score,
    weight,
)

YEAR = 365 * 86_400.0


@dataclass(frozen=True)
class _Job:
    id: str
    account: str
    priority: int = 0
    preemptible: bool = False
    gpus: int = 0
    seconds_left: float | None = None


def _ids(jobs: Sequence[_Job], standings: Mapping[str, Standing] | None = None) -> list[str]:
    return [job.id for _, job in in_order(sorted(jobs, key=lambda job: (level(job), job.id)), standings or {})]


def test_a_use_counts_half_after_two_days() -> None:
    assert decay(0) == 1.0
    assert decay(HALF_LIFE_SECONDS) == 0.5
    assert decay(2 * HALF_LIFE_SECONDS) == 0.25


@pytest.mark.parametrize("seconds", [-1.0, -YEAR, -100 * YEAR])
def test_a_use_counts_no_more_if_the_clock_goes_back(seconds: float) -> None:
    assert decay(seconds) == 1.0


def test_a_use_of_long_ago_does_not_count() -> None:
    assert 1e12 * decay(100 * YEAR) < 1e-100


def test_a_gpu_counts_as_much_as_a_slot_without_gpus() -> None:
    assert [weight(gpus) for gpus in (0, 1, 4)] == [1, 1, 4]


@pytest.mark.parametrize(
    ("left", "mean", "expected"), [(30.0, 50.0, 60.0), (None, 50.0, 100.0), (None, None, 2 * DEFAULT_SECONDS)]
)
def test_a_job_is_charged_what_is_known_best(left: float | None, mean: float | None, expected: float) -> None:
    assert charge(_Job("a", "ada", gpus=2, seconds_left=left), Standing(mean_seconds=mean)) == expected


def test_accounts_take_turns_and_each_goes_by_age() -> None:
    assert _ids([_Job(id, owner) for id, owner in zip("abcdef", ["ada"] * 4 + ["bob"] * 2, strict=True)]) == [
        *("a", "e", "b", "f", "c", "d"),
    ]


def test_what_was_used_and_the_share_count() -> None:
    jobs = [_Job(id, owner) for id, owner in zip("abcd", ["ada"] * 2 + ["bob"] * 2, strict=True)]
    assert _ids(jobs, {"ada": Standing(used=1.0)}) == ["c", "a", "d", "b"]
    assert _ids(jobs, {"ada": Standing(used=1e4)}) == ["c", "d", "a", "b"]
    assert _ids(jobs, {"bob": Standing(share=3.0)}) == ["a", "c", "d", "b"]


@pytest.mark.parametrize("share", [5e-324, 1e-20])
def test_the_smallest_share_has_a_score(share: float) -> None:
    assert score(1e6, share) == MAX_SCORE
    assert len(str(score(1e6, share))) == 19


def test_levels_come_before_turns_and_what_goes_before_counts_in_the_next_one() -> None:
    jobs = [
        _Job("a", "ada", preemptible=True, priority=100),
        _Job("b", "bob", preemptible=True, priority=100),
        _Job("c", "ada", priority=1),
        _Job("d", "ada"),
        _Job("e", "bob"),
        _Job("f", "bob", priority=-1),
    ]
    assert _ids(jobs) == ["c", "e", "d", "f", "a", "b"]


ACCOUNTS = ("ada", "bob", "cyd")
JOBS = st.lists(
    st.builds(
        lambda account, priority, preemptible, gpus, left: ("", account, priority, preemptible, gpus, left),
        st.sampled_from(ACCOUNTS),
        st.sampled_from([-1, 0, 0, 3]),
        st.booleans(),
        st.integers(0, 3),
        st.none() | st.integers(0, 5000).map(float),
    ),
    max_size=15,
).map(lambda rows: [_Job(f"{number:02}", *row[1:]) for number, row in enumerate(rows)])
STANDINGS = st.dictionaries(
    st.sampled_from(ACCOUNTS),
    st.builds(
        Standing,
        used=st.integers(0, 20_000).map(float),
        share=st.sampled_from([0.1, 0.5, 1.0, 2.0, 1000.0]),
        mean_seconds=st.none() | st.integers(0, 5000).map(float),
    ),
)


def _one_by_one(jobs: Sequence[_Job], standings: Mapping[str, Standing]) -> list[tuple[int, str]]:
    """Return the scores and ids as the claims of one worker would have them: each looks at all jobs that wait."""
    used = {account: standings.get(account, Standing()).used for account in ACCOUNTS}
    waiting, claimed = list(jobs), []

    def score_of(job: _Job) -> int:
        return score(used[job.account], standings.get(job.account, Standing()).share)

    while waiting:
        first = min(waiting, key=lambda job: (level(job), score_of(job), job.id))
        claimed.append((score_of(first), first.id))
        waiting.remove(first)
        used[first.account] += charge(first, standings.get(first.account, Standing()))
    return claimed


@given(jobs=JOBS, standings=STANDINGS)
def test_the_order_is_that_of_claims_one_by_one(jobs: list[_Job], standings: dict[str, Standing]) -> None:
    ordered = list(in_order(sorted(jobs, key=lambda job: (level(job), job.id)), standings))
    assert [(at, job.id) for at, job in ordered] == _one_by_one(jobs, standings)


@given(jobs=JOBS, standings=STANDINGS)
def test_scores_only_grow_within_a_level(jobs: list[_Job], standings: dict[str, Standing]) -> None:
    """The pages of the queue are found by level, score and id."""
    ordered = list(in_order(sorted(jobs, key=lambda job: (level(job), job.id)), standings))
    keys = [(level(job), at, job.id) for at, job in ordered]
    assert keys == sorted(keys)
