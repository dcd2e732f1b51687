"""The states of a job and the moves between them, the reasons for its end, its phases and its events.

States are facts, and a request is not a state: a request to cancel a running job sets `cancel_requested_at` (a request
to pause it, `pause_requested_at`), and the job is `running` until it has stopped. The reason why a job ended determines
its final state (`state_of`), so the two cannot contradict each other.
"""

from enum import StrEnum
from typing import Final, Self


class DescribedEnum(StrEnum):
    """A string enumeration whose members each have a description for people, in `about`."""

    about: str

    def __new__(cls, value: str, about: str) -> Self:
        """Create a member from its value and its description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.about = about
        return member


class JobState(DescribedEnum):
    """The state of a job."""

    QUEUED = (
        "queued",
        "The job is stored and waits for a worker: a new job, or one that was requeued because its worker was lost or "
        "shut down.",
    )
    RUNNING = (
        "running",
        "A worker holds a lease on the job and trains it. Only the holder of the lease may record anything about it.",
    )
    PAUSED = (
        "paused",
        "The job was paused. It holds no device, and continues exactly where it stopped when it is resumed.",
    )
    SUCCEEDED = (
        "succeeded",
        "The training ended as the job specifies, and its last checkpoint was read back intact.",
    )
    FAILED = (
        "failed",
        "The job cannot be trained: it has a fault, or the machines failed in its last attempt. What it had saved can "
        "still be downloaded.",
    )
    CANCELLED = (
        "cancelled",
        "The job was cancelled. What it had saved can still be downloaded.",
    )

    @property
    def is_final(self) -> bool:
        """Whether a job in this state has ended."""
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

WAITING_STATES: Final = frozenset({JobState.QUEUED, JobState.PAUSED})
"""The states of a job that no worker has and that has not ended."""

MOVES: Final = frozenset(
    {
        (JobState.QUEUED, JobState.RUNNING),
        (JobState.QUEUED, JobState.CANCELLED),
        (JobState.QUEUED, JobState.PAUSED),
        (JobState.QUEUED, JobState.FAILED),
        (JobState.RUNNING, JobState.PAUSED),
        (JobState.PAUSED, JobState.QUEUED),
        (JobState.PAUSED, JobState.CANCELLED),
        (JobState.RUNNING, JobState.QUEUED),
        (JobState.RUNNING, JobState.SUCCEEDED),
        (JobState.RUNNING, JobState.FAILED),
        (JobState.RUNNING, JobState.CANCELLED),
        (JobState.SUCCEEDED, JobState.QUEUED),
        (JobState.FAILED, JobState.QUEUED),
        (JobState.CANCELLED, JobState.QUEUED),
    }
)
"""The allowed moves. The last three are for an ended job that is extended."""


class Reason(DescribedEnum):
    """The reason why a job ended."""

    COMPLETED = ("completed", "All epochs were trained.")
    EARLY_STOPPED = ("early_stopped", "A callback of the job, such as EarlyStopping, stopped the training.")
    CANCELLED_BY_USER = ("cancelled_by_user", "A user cancelled the job.")
    INVALID_DATA = (
        "invalid_data",
        "The data cannot be loaded, or they do not match the model, the loss or the preparation steps of the job.",
    )
    INVALID_MODEL = (
        "invalid_model",
        "Keras cannot build the model, or cannot compile it with its optimizer, loss and metrics.",
    )
    NAN_LOSS = ("nan_loss", "The loss became NaN or infinite, and more epochs could not recover from it.")
    NAN_WEIGHTS = (
        "nan_weights",
        "Weights became NaN or infinite although the loss did not, as happens with NaN in the data and relu layers.",
    )
    OUT_OF_MEMORY = ("out_of_memory", "The machine or the device did not have enough memory.")
    MAX_RUNTIME = ("max_runtime", "The job ran longer than its `max_runtime_seconds`.")
    NOT_SCHEDULED = ("not_scheduled", "No worker claimed the job within its `max_queued_seconds`.")
    WORKER_LOST = ("worker_lost", "The worker was lost in the last of the job's `max_attempts`.")
    STORAGE_FAILED = (
        "storage_failed",
        "A checkpoint, snapshot or artifact could not be written or stored, or a checkpoint was damaged.",
    )
    LIMIT_REACHED = (
        "limit_reached",
        "The job has reached a limit of this service: of its checkpoints, or of the bytes of its files.",
    )
    NO_PROGRESS = ("no_progress", "Three attempts in a row failed at the same position in the training.")
    INTERNAL_ERROR = ("internal_error", "The training process died or failed for a reason that is not in this list.")


_STATE_OF: Final = {
    Reason.COMPLETED: JobState.SUCCEEDED,
    Reason.EARLY_STOPPED: JobState.SUCCEEDED,
    Reason.CANCELLED_BY_USER: JobState.CANCELLED,
    Reason.INVALID_DATA: JobState.FAILED,
    Reason.INVALID_MODEL: JobState.FAILED,
    Reason.NAN_LOSS: JobState.FAILED,
    Reason.NAN_WEIGHTS: JobState.FAILED,
    Reason.OUT_OF_MEMORY: JobState.FAILED,
    Reason.MAX_RUNTIME: JobState.FAILED,
    Reason.NOT_SCHEDULED: JobState.FAILED,
    Reason.WORKER_LOST: JobState.FAILED,
    Reason.STORAGE_FAILED: JobState.FAILED,
    Reason.LIMIT_REACHED: JobState.FAILED,
    Reason.NO_PROGRESS: JobState.FAILED,
    Reason.INTERNAL_ERROR: JobState.FAILED,
}


EXTENDABLE: Final = frozenset(
    {
        *(Reason.COMPLETED, Reason.EARLY_STOPPED, Reason.CANCELLED_BY_USER),
        *(Reason.MAX_RUNTIME, Reason.WORKER_LOST, Reason.STORAGE_FAILED, Reason.LIMIT_REACHED),
    }
)
"""The reasons after which a job can be extended: nothing was wrong with the training itself."""


def state_of(reason: Reason) -> JobState:
    """Return the final state of a job that ended for this reason."""
    return _STATE_OF[reason]


class Phase(DescribedEnum):
    """What a running job is doing. It informs people; no decision depends on it."""

    LOADING_DATA = ("loading_data", "The worker reads and prepares the arrays.")
    BUILDING = ("building", "Keras builds and compiles the model.")
    TRAINING = ("training", "Keras trains the model.")
    SAVING = ("saving", "The worker writes and stores the last checkpoints.")


class EventKind(DescribedEnum):
    """The events in the life of a job. Events are appended and never changed."""

    SUBMITTED = ("submitted", "The job was checked and stored.")
    CLAIMED = ("claimed", "A worker claimed the job; `data` names the worker.")
    PHASE_CHANGED = ("phase_changed", "The running job entered another phase.")
    EPOCH_ENDED = ("epoch_ended", "An epoch was trained; `data` holds its logs.")
    LEARNING_RATE_REDUCED = ("learning_rate_reduced", "A callback reduced the learning rate.")
    BEST_IMPROVED = (
        "best_improved",
        "The monitored value is better than in every earlier epoch, and the weights are stored.",
    )
    CHECKPOINT_SAVED = ("checkpoint_saved", "A ModelCheckpoint callback saved a checkpoint, and it is stored.")
    EVENTS_LEFT_OUT = (
        "events_left_out",
        "The job has very many events about epochs and checkpoints: further ones are only counted.",
    )
    LOG_LINES_LEFT_OUT = (
        "log_lines_left_out",
        "The job has printed more than the service keeps: from now on, the oldest lines of its log are deleted.",
    )
    SNAPSHOT_DISCARDED = (
        "snapshot_discarded",
        "A snapshot of an earlier attempt cannot be used; `data` has its position and its attempt.",
    )
    RESUMED = ("resumed", "The training resumed from a snapshot of an earlier attempt; `data` has the position.")
    CANCEL_REQUESTED = ("cancel_requested", "A user asked the running job to stop; `data` says who.")
    PAUSE_REQUESTED = ("pause_requested", "A user asked the running job to pause; `data` says who.")
    PAUSED = ("paused", "The job no longer holds a device, and waits to be resumed.")
    UNPAUSED = ("unpaused", "A user resumed the job, or withdrew the request to pause it; `data` says who.")
    CHANGED = (
        "changed",
        "A user changed the job while it waited, or its `keep`; `data` says who, and what each field was and is.",
    )
    EXTENDED = ("extended", "A user gave the ended job more epochs; `data` says who, and how many.")
    REMOVED = (
        "removed",
        "The retention of the project removed something that the ended job had left; `data` says what, and after how "
        "many days.",
    )
    REQUEUED = (
        "requeued",
        "The attempt failed, its worker shut down, or it made room; the job waits for another worker.",
    )
    SUCCEEDED = ("succeeded", "The job succeeded.")
    FAILED = ("failed", "The job failed.")
    CANCELLED = ("cancelled", "The job was cancelled.")
