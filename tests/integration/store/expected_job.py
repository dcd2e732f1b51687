"""A model of a job for the test of its life: what must come of whatever workers and users do."""

from dataclasses import dataclass

from fitqueue.reports import Position
from fitqueue.states import JobState, Reason, state_of
from service.models import Job

MAX_ATTEMPTS = 5


@dataclass
class ExpectedJob:
    """A job as it must be."""

    epochs: int
    trained: int = 0
    gpus: int = 0
    state: JobState = JobState.QUEUED
    reason: Reason | None = None
    cancel_requested: bool = False
    pause_requested: bool = False
    newest_snapshot: tuple[int, Position] | None = None
    """Its attempt, which counts first, and its position."""
    failed_attempts: int = 0
    stalled_attempts: int = 0
    stalled_at: Position | None = None
    attempt: int = 0
    ends: int = 0
    extensions: int = 0
    extended_by: int | None = None

    def end(self, reason: Reason) -> None:
        self.state, self.reason, self.pause_requested = state_of(reason), reason, False
        self.ends += 1

    def leave_worker(self) -> None:
        if self.cancel_requested:
            self.end(Reason.CANCELLED_BY_USER)
        else:
            self.state = JobState.PAUSED if self.pause_requested else JobState.QUEUED
            self.pause_requested = False

    def fail_attempt(self, reason: Reason | None) -> None:
        position = self.newest_snapshot[1] if self.newest_snapshot else Position(0)
        has_stalled = self.stalled_at is not None and position <= self.stalled_at
        stalled_attempts = self.stalled_attempts + 1 if has_stalled else 1
        if self.cancel_requested:
            self.end(Reason.CANCELLED_BY_USER)
        elif reason is not None and stalled_attempts >= 2:
            self.end(reason)
        elif self.failed_attempts + 1 == MAX_ATTEMPTS:
            self.end(reason or Reason.WORKER_LOST)
        elif stalled_attempts >= 3:
            self.end(Reason.NO_PROGRESS)
        else:
            self.failed_attempts += 1
            self.stalled_attempts = stalled_attempts
            self.stalled_at = self.stalled_at if has_stalled else position
            self.leave_worker()

    def extend(self, epochs: int) -> None:
        self.state, self.reason, self.cancel_requested = JobState.QUEUED, None, False
        self.failed_attempts = self.stalled_attempts = 0
        self.epochs, self.extended_by = self.trained + epochs, epochs
        self.extensions += 1

    def matches(self, job: Job) -> bool:
        is_asked_to_stop = self.cancel_requested and self.state is JobState.RUNNING
        return (
            (self.state, self.reason, self.epochs) == (job.state, job.reason, job.epochs)
            and self.pause_requested == (job.pause_requested_at is not None)
            and (job.cancel_requested_at is not None) >= is_asked_to_stop
            and (self.failed_attempts, self.stalled_attempts, self.attempt)
            == (job.failed_attempts, job.stalled_attempts, job.attempt)
        )
