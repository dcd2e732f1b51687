"""What `client.fit` shows: the transfer of the data, then the training as Keras's own bar shows it."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.text import Text

from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView

FetchEpochs = Callable[[int], Sequence[EpochView]]
"""Returns the epochs after this one."""

_CELLS: Final = 20


def resolve(verbose: str | int, console: Console) -> int:
    """Return what Keras's `verbose` means here: with "auto" a bar on a terminal, and lines elsewhere."""
    if verbose == "auto":
        return 1 if console.is_terminal else 2
    return int(verbose)


# --- Before the training -------------------------------------------------------------------------------------------


@dataclass
class Transfers:
    """The bars of data that is taken and sent."""

    progress: Progress
    _collected: TaskID | None = None
    _sent: TaskID | None = None

    def collecting(self, size: int) -> None:
        """Show the bytes that were taken from batches so far."""
        if self._collected is None:
            self._collected = self.progress.add_task("Taking batches", total=None)
        self.progress.update(self._collected, completed=size)

    def sending(self, done: int, total: int) -> None:
        """Show the bytes of a file that were sent so far."""
        if self._sent is None or self.progress.tasks[self._sent].total != total:
            self._sent = self.progress.add_task("Uploading", total=total)
        self.progress.update(self._sent, completed=done)


@contextmanager
def uploading(verbose: str | int) -> Iterator[Transfers]:
    """Show bars while data is taken and sent."""
    console = Console(file=sys.stdout)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=resolve(verbose, console) != 1) as progress:
        yield Transfers(progress)


# --- While it trains -----------------------------------------------------------------------------------------------


class Follower:
    """Prints a line for each epoch that has ended, and shows the running one below."""

    def __init__(self, console: Console, live: Live | None, *, is_silent: bool) -> None:
        self._console, self._live, self._is_silent = console, live, is_silent
        self._printed = 0
        self._waited_for: str | None = None

    def show(self, job: JobView, fetch: FetchEpochs) -> None:
        """Show the job as it is now."""
        if self._is_silent:
            return
        self._print_waiting(job)
        ended = job.progress.epoch if job.state.is_final else job.progress.epoch - 1
        if ended > self._printed:
            for epoch in fetch(self._printed):
                self._console.print(_epoch_line(epoch, job), soft_wrap=True)
                self._printed = epoch.epoch
        if self._live is not None:
            self._live.update(Text() if job.state.is_final else _running_line(job))

    def _print_waiting(self, job: JobView) -> None:
        waiting = job.queue.waiting_for if job.queue is not None else None
        if waiting is not None and waiting != self._waited_for:
            self._console.print(Text(f"{job.id}: waiting for {waiting}"), soft_wrap=True)
        self._waited_for = waiting


@contextmanager
def following(verbose: str | int) -> Iterator[Follower]:
    """Show a training while it is followed."""
    console = Console(file=sys.stdout, highlight=False)
    shown = resolve(verbose, console)
    if shown != 1:
        yield Follower(console, None, is_silent=shown == 0)
        return
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield Follower(console, live, is_silent=False)


def _epoch_line(epoch: EpochView, job: JobView) -> Text:
    steps = job.progress.steps or 0
    rate = f"{1000 / epoch.steps_per_second:.0f}ms/step" if epoch.steps_per_second > 0 else ""
    head = f"Epoch {epoch.epoch}/{job.progress.epochs}  {steps}/{steps} {'━' * _CELLS} {epoch.seconds:.0f}s {rate}"
    return Text(f"{head} - {_metrics(epoch.metrics)}")


def _running_line(job: JobView) -> Text:
    progress = job.progress
    if job.state is not JobState.RUNNING or not progress.steps:
        return Text(f"{job.id}: {job.phase.replace('_', ' ') if job.phase else job.state}")
    full = _CELLS * progress.step // progress.steps
    eta = f" {_duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
    line = Text(f"Epoch {progress.epoch}/{progress.epochs}  {progress.step}/{progress.steps} {'━' * full}")
    line.append("─" * (_CELLS - full), style="bright_black")
    return line.append(eta)


def _metrics(metrics: Mapping[str, float | None]) -> str:
    return " - ".join(f"{name}: {_number(value)}" for name, value in metrics.items())


def _number(value: float | None) -> str:
    """Return a number as Keras's bar shows it."""
    if value is None:
        return "nan"
    return f"{value:.4f}" if value == 0 or abs(value) > 1e-3 else f"{value:.4e}"


def _duration(seconds: Any) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"
