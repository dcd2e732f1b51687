"""The sentences that a person reads about one job."""

import pytest

from fitqueue.cli.screen import queue_text
from fitqueue.views import QueuePosition


@pytest.mark.parametrize(
    ("waiting_for", "sentence"),
    [
        ("a free worker", "Number 3 in the queue, waiting for a free worker"),
        ("a worker with 4 GPUs free", "Number 3 in the queue, waiting for a worker with 4 GPUs free"),
        (
            "a worker that serves the pool 'x'; none is alive",
            "Number 3 in the queue, waiting for a worker that serves the pool 'x'; none is alive",
        ),
        (
            "4 GPUs on one machine; the largest live worker has 2",
            "Number 3 in the queue, waiting for 4 GPUs on one machine; the largest live worker has 2",
        ),
        (
            "its next attempt at 2026-11-26T18:00:00Z; the last one failed: The storage cannot be reached",
            "Number 3 in the queue, waiting for its next attempt at 2026-11-26T18:00:00Z; "
            "the last one failed: The storage cannot be reached",
        ),
    ],
)
def test_what_a_queued_job_waits_for_is_one_sentence(waiting_for: str, sentence: str) -> None:
    assert queue_text(QueuePosition(position=3, waiting_for=waiting_for)) == sentence
