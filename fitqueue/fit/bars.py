"""What `client.fit` shows on a terminal or in a file: the transfer of the data, then the training.

In a notebook, `fitqueue.fit.notebook` shows both.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.text import Text

from fitqueue.fit import notebook
from fitqueue.fit.followers import FetchEpochs, Follower, Transfers
from fitqueue.fit.lines import epoch_line, running_line
from fitqueue.pictures.jobs import activity, best_text, job_text
from fitqueue.states import JobState, Reason
from fitqueue.text import one_line
from fitqueue.views import EpochView, JobView

SILENT: Final = 0
BAR: Final = 1
LINES: Final = 2


def resolve(verbose: str | int, console: Console) -> int:
    """Return what Keras's `verbose` means here: a bar where somebody looks at it, and lines elsewhere."""
    if verbose in ("auto", BAR):
        return BAR if console.is_terminal or notebook.is_running() else LINES
    return int(verbose)


def uploading(verbose: str | int) -> AbstractContextManager[Transfers]:
    """Show bars while data is taken and sent."""
    console = _console()
    if resolve(verbose, console) != BAR:
        return nullcontext(Transfers())
    return notebook.uploading() if notebook.is_running() else terminal_transfers(console)


def following(
    verbose: str | int, fetch: FetchEpochs, transfers: Transfers | None = None
) -> AbstractContextManager[Follower]:
    """Show a training while it is followed.

    Args:
        transfers: what was shown before it, if anything was.
    """
    console = _console()
    shown = resolve(verbose, console)
    if shown == SILENT:
        return nullcontext(Follower(fetch))
    if shown == LINES:
        return nullcontext(LineFollower(fetch, console))
    return notebook.following(fetch, transfers) if notebook.is_running() else terminal_bar(fetch, console)


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, force_jupyter=False)


# --- Before the training -------------------------------------------------------------------------------------------


@dataclass
class TerminalTransfers(Transfers):
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
def terminal_transfers(console: Console) -> Iterator[Transfers]:
    """Show bars that disappear when all is sent."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield TerminalTransfers(progress)


# --- While it trains -----------------------------------------------------------------------------------------------


class LineFollower(Follower):
    """Prints a line for each epoch that has ended, and for what a job waits for."""

    has_bar = False

    def __init__(self, fetch: FetchEpochs, console: Console) -> None:
        super().__init__(fetch)
        self._console = console
        self._status: object = None

    def _show(self, job: JobView, new: list[EpochView]) -> None:
        self._show_status(job)
        width = self._console.width if self._console.is_terminal else None
        for epoch in new:
            self._print(epoch_line(epoch, job.progress, width, has_bar=self.has_bar, is_ascii=self._is_ascii))
        if job.state.is_final:
            self._print(Text(end_text(job)))

    def _show_status(self, job: JobView) -> None:
        status = (job.state, job.queue.waiting_for if job.queue is not None else None)
        if status != self._status and not job.state.is_final:
            self._print(Text(job_text(job)))
        self._status = status

    def _print(self, text: Text) -> None:
        """Print a line; on a terminal, one that is too long continues with a whole word."""
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    @property
    def _is_ascii(self) -> bool:
        return self._console.options.ascii_only


class BarFollower(LineFollower):
    """Prints a line for each epoch that has ended, and shows the running one below, until it has ended."""

    has_bar = True

    def __init__(self, fetch: FetchEpochs, console: Console, live: Live) -> None:
        super().__init__(fetch, console)
        self._live = live

    def _show(self, job: JobView, new: list[EpochView]) -> None:
        super()._show(job, new)
        self._live.update(self._below(job))

    def _below(self, job: JobView) -> Text:
        if job.state.is_final:
            return Text()
        width = self._console.width
        if job.state is JobState.RUNNING and job.progress.steps and job.progress.epoch:
            return running_line(job.progress, self.eta_seconds, width, is_ascii=self._is_ascii)
        text = Text(job_text(job))
        text.truncate(width, overflow="ellipsis")
        return text

    def _show_status(self, job: JobView) -> None:
        """Print the job that is followed; what it is doing is shown below."""
        if self._status is None:
            self._print(Text(job_text(job).partition(": ")[0]))
        self._status = job.state


@contextmanager
def terminal_bar(fetch: FetchEpochs, console: Console) -> Iterator[Follower]:
    """Follow a job with a bar at the end of what is printed."""
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield BarFollower(fetch, console, live)


def end_text(job: JobView) -> str:
    """Return how a job has ended."""
    message = "" if job.reason is Reason.COMPLETED or not job.message else f": {one_line(job.message)}"
    best = f" - best {best_text(job)}" if job.best is not None else ""
    return f"{one_line(job.id)}: {activity(job)}{message}{best}"
