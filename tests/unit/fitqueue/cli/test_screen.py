"""The sentences that a person reads about one job."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.progress import Progress

from fitqueue.cli.screen import _JobColumn, ends_text, left_text, queue_text
from fitqueue.states import JobState
from fitqueue.text import strip_ansi
from fitqueue.views import QueuePosition
from tests.unit.fitqueue.views import job_view


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


@pytest.mark.parametrize(("is_upper_bound", "word"), [(False, "about"), (True, "at most")])
def test_what_is_forecast_is_part_of_the_sentence(is_upper_bound: bool, word: str) -> None:
    queue = QueuePosition(
        position=3, waiting_for="a free worker", starts_in_seconds=725, may_start_earlier=is_upper_bound
    )
    assert queue_text(queue) == f"Number 3 in the queue, waiting for a free worker, starts in {word} 12 min"
    running = job_view(may_finish_earlier=is_upper_bound, finishes_at=datetime.now(UTC) + timedelta(seconds=725))
    assert left_text(running, "about") == f"{word} 50 s left"
    assert ends_text(running).startswith(f"In {word} 12 min, ")
    assert ends_text(job_view()) == left_text(job_view(JobState.QUEUED)) == ""


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize(
    "texts",
    [
        ("Epoch 3/12", "312/1,875 steps", "about 12 min left"),
        ("Number 3 in the queue, waiting for a worker that serves the pool 'vision'; none is alive", "", ""),
    ],
)
def test_the_line_below_the_epochs_has_whole_words(width: int, texts: tuple[str, str, str]) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    with Progress(_JobColumn(console), console=console, disable=True) as progress:
        description, steps, eta = texts
        progress.add_task(description, total=1875 if steps else None, completed=312, steps=steps, eta=eta)
        with console.capture() as captured:
            console.print(progress)
    lines = strip_ansi(captured.get()).splitlines()
    assert [word for line in lines for word in line.split() if set(word) != {"━"}] == " ".join(texts).split()
    assert all(len(line) <= width for line in lines)
    assert ("━" in captured.get()) == bool(steps)
