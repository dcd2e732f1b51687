"""What a queued job waits for, in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.models import Job
from service.store.queue_position import waiting_for
from service.store.workers import LiveWorker

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IN_TEN_SECONDS = NOW + timedelta(seconds=10)

CPU_WORKER = LiveWorker(pools=frozenset({"default"}), gpus=frozenset(), slots=1)
GPU_WORKER = LiveWorker(pools=frozenset({"default", "large"}), gpus=frozenset({"GPU-a", "GPU-b"}), slots=1)


def _job(**columns: Any) -> Job:
    return Job(**{"pool": "default", "gpus": 0, "not_before": None, **columns})


@pytest.mark.parametrize(
    ("job", "alive", "failure", "expected"),
    [
        (_job(), [], None, "a worker that serves the pool 'default'; none is alive"),
        (_job(pool="large"), [CPU_WORKER], None, "a worker that serves the pool 'large'; none is alive"),
        (_job(not_before=IN_TEN_SECONDS), [], "x", "a worker that serves the pool 'default'; none is alive"),
        (_job(gpus=1), [CPU_WORKER], None, "1 GPU on one machine; the largest live worker has 0"),
        (_job(gpus=4), [CPU_WORKER, GPU_WORKER], None, "4 GPUs on one machine; the largest live worker has 2"),
        (_job(gpus=4, not_before=IN_TEN_SECONDS), [GPU_WORKER], "x",
         "4 GPUs on one machine; the largest live worker has 2"),
        (_job(not_before=IN_TEN_SECONDS), [CPU_WORKER], "The disk is full",
         "its next attempt at 2026-01-02T03:04:15Z; the last one failed: The disk is full"),
        (_job(not_before=IN_TEN_SECONDS), [CPU_WORKER], None, "its next attempt at 2026-01-02T03:04:15Z"),
        (_job(gpus=1), [GPU_WORKER], None, "a worker with 1 GPU free"),
        (_job(gpus=2), [GPU_WORKER], None, "a worker with 2 GPUs free"),
        (_job(), [CPU_WORKER], None, "a free worker"),
        (_job(not_before=NOW), [CPU_WORKER], "The disk is full", "a free worker"),
        (_job(pool="large"), [CPU_WORKER, GPU_WORKER], None, "a free worker"),
    ],
    ids=[
        "no worker", "no worker of its pool", "no worker, pausing", "no GPUs", "too few GPUs", "too few GPUs, pausing",
        "pausing after a failure", "pausing", "GPU", "GPUs", "free worker", "pause is over", "free worker of its pool",
    ],
)  # fmt: skip
def test_what_a_queued_job_waits_for_is_a_noun_phrase(
    job: Job, alive: list[LiveWorker], failure: str | None, expected: str
) -> None:
    assert waiting_for(job, alive, NOW, failure) == expected


def test_a_preemptible_job_waits_for_idle_devices_and_says_why_it_waits_again() -> None:
    preemptible = _job(preemptible=True)
    again = "idle devices again: it made room for another job, and goes on by itself"
    assert waiting_for(preemptible, [CPU_WORKER], NOW) == "idle devices"
    assert waiting_for(preemptible, [CPU_WORKER], NOW, preempted=True) == again
    assert waiting_for(preemptible, [CPU_WORKER], NOW, limit="a place", preempted=True) == "a place"


def test_a_limit_matters_when_a_worker_could_take_the_job() -> None:
    limit = "a place: ada runs 4 of at most 4 jobs"
    assert waiting_for(_job(), [CPU_WORKER], NOW, limit=limit) == limit
    assert waiting_for(_job(), [], NOW, limit=limit) == "a worker that serves the pool 'default'; none is alive"
    pausing = waiting_for(_job(not_before=IN_TEN_SECONDS), [CPU_WORKER], NOW, limit=limit)
    assert pausing == "its next attempt at 2026-01-02T03:04:15Z"
