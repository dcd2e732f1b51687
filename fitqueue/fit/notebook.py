"""What `client.fit` shows in a notebook: one output that is replaced, static HTML with the same in words beside it.

IPython is not imported here. Where a notebook runs, it is loaded.
"""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from fitqueue.fit.followers import FetchEpochs, Follower, Transfers
from fitqueue.pictures.html import STATE_COLOURS, bar, faint, frame, line
from fitqueue.pictures.jobs import picture_of_training
from fitqueue.pictures.picture import Picture
from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView

_SECONDS: Final = 0.5
"""A picture is replaced at most as often as this: each one travels to the browser as a whole. What takes less time
before the training is not shown at all."""


def is_running() -> bool:
    """Return whether this process computes for a notebook. IPython on a terminal has no kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class Output:
    """An output of a cell that is replaced by what is shown next."""

    def __init__(self, shown_at: float = -math.inf) -> None:
        self._handle: Any = None
        self._shown_at = shown_at

    def show(self, picture: Picture, *, is_last: bool = True) -> None:
        """Show a picture; one that is not the last is left out if the one before is too new."""
        if not is_last and time.monotonic() - self._shown_at < _SECONDS:
            return
        self._shown_at = time.monotonic()
        if self._handle is None:
            self._handle = sys.modules["IPython"].display.display(picture, display_id=True)
        else:
            self._handle.update(picture)

    @property
    def is_shown(self) -> bool:
        """Whether there is anything that would be replaced."""
        return self._handle is not None


class NotebookTransfers(Transfers):
    """A picture of data that is taken and sent."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def collecting(self, size: int) -> None:
        """Show the bytes that were taken from batches so far."""
        words = f"Taking batches: {size / 1e6:.1f} MB"
        self.output.show(Picture(frame([line(faint(words))]), words), is_last=False)

    def sending(self, done: int, total: int) -> None:
        """Show the bytes of a file that were sent so far."""
        words = f"Uploading {done / 1e6:.1f} of {total / 1e6:.1f} MB"
        percent = 100 * done / total if total else 100.0
        parts = [line(faint(words)), bar(percent, STATE_COLOURS[JobState.RUNNING])]
        self.output.show(Picture(frame(parts), words), is_last=False)

    def end(self) -> None:
        """Replace what is shown: all was sent."""
        if self.output.is_shown:
            words = "Uploaded the data and the weights"
            self.output.show(Picture(frame([line(faint(words))]), words))


@contextmanager
def uploading() -> Iterator[Transfers]:
    """Show a picture, if it takes long. The job that is followed then takes its place."""
    transfers = NotebookTransfers(Output(shown_at=time.monotonic()))
    yield transfers
    transfers.end()


class NotebookFollower(Follower):
    """Shows the job with its curves, each time anew in the same place."""

    def __init__(self, fetch: FetchEpochs, output: Output) -> None:
        super().__init__(fetch)
        self._output = output

    def detach(self, note: str) -> None:
        """Add to the picture how to go on."""
        if self.job is None:
            super().detach(note)
        else:
            self._output.show(picture_of_training(self.job, self.epochs, note))

    def _show(self, job: JobView, new: list[EpochView]) -> None:  # noqa: ARG002 - all of them are drawn
        progress = job.progress.model_copy(update={"eta_seconds": self.eta_seconds})
        picture = picture_of_training(job.model_copy(update={"progress": progress}), self.epochs)
        self._output.show(picture, is_last=job.state.is_final)


def following(fetch: FetchEpochs, transfers: Transfers | None) -> AbstractContextManager[Follower]:
    """Follow a job with a picture, in the place of the one of the transfers before."""
    output = transfers.output if isinstance(transfers, NotebookTransfers) else Output()
    return nullcontext(NotebookFollower(fetch, output))
