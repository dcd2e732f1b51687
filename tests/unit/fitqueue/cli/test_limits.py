"""How limits and retention are given to commands, and shown by them."""

import click
import pytest

from fitqueue.cli.limits import limit_facts, limits_of, retention_of
from fitqueue.limits import Holdings, Limits, UserLimits


def test_limits_are_numbers_or_none() -> None:
    assert limits_of(["running_jobs=4", "gpus=none"], Limits) == {"running_jobs": 4, "gpus": None}
    assert limits_of([], Limits) is None


def test_a_retention_has_days_and_a_word() -> None:
    given = ["logs_days=90", "snapshots_days=none", "keep_checkpoints=best_and_last"]
    assert retention_of(given) == {"logs_days": 90, "snapshots_days": None, "keep_checkpoints": "best_and_last"}
    assert retention_of([]) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("running_job=4", "Did you mean 'running_jobs'?"),
        ("running_jobs", "expected NAME=N"),
        ("running_jobs=many", "'many' is not a number, nor `none`, for running_jobs"),
        ("running_jobs=-1", "'-1' is not a number"),
        ("requests_per_minute=600", "is not understood"),
    ],
)
def test_what_is_not_a_limit_of_a_project_is_refused(text: str, message: str) -> None:
    with pytest.raises(click.UsageError, match=message.replace("?", r"\?")):
        limits_of([text], Limits)


def test_what_there_is_stands_beside_what_is_allowed() -> None:
    limits = UserLimits(running_jobs=4, stored_bytes=5 * 10**9, runtime_seconds=7200, requests_per_minute=600)
    usage = Holdings(running_jobs=2, gpus=1, queued_jobs=0, stored_bytes=1_500_000)
    assert dict(limit_facts(limits, usage)) == {
        "Running jobs": "2 of at most 4",
        "GPUs": "1",
        "Queued jobs": "0",
        "Stored": "1.5 MB of at most 5.0 GB",
        "Runtime": "2:00:00 at most",
        "Requests": "600 a minute at most",
    }
