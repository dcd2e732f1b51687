"""What is known of a job while it is followed, and of data while it is sent. By themselves they show nothing."""

import time
from collections.abc import Callable, Sequence

from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView

FetchEpochs = Callable[[int], Sequence[EpochView]]
"""Returns the epochs after this one."""


class Transfers:
    """Data that is taken and sent."""

    def collecting(self, size: int) -> None:
        """Take note of the bytes that were taken from batches so far."""

    def sending(self, done: int, total: int) -> None:
        """Take note of the bytes of a file that were sent so far."""


class Follower:
    """Keeps the job as it was last seen, and the epochs that have ended.

    Attributes:
        job: None before the first answer.
        epochs: the epochs that have ended.
        eta_seconds: until the training ends; an estimate of this side's own while the service has none.
    """

    def __init__(self, fetch: FetchEpochs, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self.job: JobView | None = None
        self.epochs: list[EpochView] = []
        self.eta_seconds: float | None = None
        self._started: tuple[float, int] | None = None

    def update(self, job: JobView) -> None:
        """Take note of the job as it is now."""
        ended = job.progress.epoch if job.state.is_final else job.progress.epoch - 1
        last = self.epochs[-1].epoch if self.epochs else 0
        new = list(self._fetch(last)) if ended > last else []
        self.job = job
        self.epochs += new
        self.eta_seconds = job.progress.eta_seconds
        if self.eta_seconds is None:
            self.eta_seconds = self._estimate(job)
        self._show(job, new)

    def detach(self, note: str) -> None:
        """Show that the job goes on, and is not followed any more."""
        print(note)  # noqa: T201 - the answer to a key of somebody who looks at it

    def _show(self, job: JobView, new: list[EpochView]) -> None:
        """Show what is new."""

    def _estimate(self, job: JobView) -> float | None:
        """Return the time that the rest takes at the pace of the steps since the first that was seen."""
        progress = job.progress
        if job.state is not JobState.RUNNING or not progress.steps or not progress.epoch:
            self._started = None
            return None
        done = (progress.epoch - 1) * progress.steps + progress.step
        if self._started is None or done < self._started[1]:
            self._started = self._clock(), done
        started, first = self._started
        if done == first:
            return None
        return (progress.epochs * progress.steps - done) * (self._clock() - started) / (done - first)
