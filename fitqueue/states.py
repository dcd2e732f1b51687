"""The states of a job, its moves between them, why it ended, and what it does meanwhile.

States are facts. A wish is no state: asking a running job to stop sets `cancel_requested_at` (to pause,
`pause_requested_at`) and leaves it running until it has stopped. Why a job ended decides how it ended (`state_of`), so
no code can say one without the other.
"""

from enum import StrEnum
from typing import Final, Self


class DescribedEnum(StrEnum):
    """A string enumeration whose members each carry a paragraph for people, in `about`."""

    about: str

    def __new__(cls, value: str, about: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.about = about
        return member


class JobState(DescribedEnum):
    QUEUED = (
        "queued",
        "The job is stored and waits for a worker. It is also the state of a job that was put back because its "
        "worker was lost or shut down.",
    )
    RUNNING = (
        "running",
        "A worker holds the job under a lease and trains it. Only the holder of the lease may write about it.",
    )
    PAUSED = (
        "paused",
        "Somebody asked the job to wait. It holds no device, and goes on where it stood when somebody resumes it.",
    )
    SUCCEEDED = (
        "succeeded",
        "Training ended as the job asked, and its last checkpoint was read back whole.",
    )
    FAILED = (
        "failed",
        "The job cannot be trained: a fault of its own, or of the machines after its last attempt. "
        "What was saved until then stays fetchable.",
    )
    CANCELLED = (
        "cancelled",
        "Somebody asked for the end. What was saved until then stays fetchable.",
    )

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

MOVES: Final = frozenset(
    {
        (JobState.QUEUED, JobState.RUNNING),
        (JobState.QUEUED, JobState.CANCELLED),
        (JobState.QUEUED, JobState.PAUSED),
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
"""The last three: an ended job is extended."""


class Reason(DescribedEnum):
    """Why a job ended."""

    COMPLETED = ("completed", "All epochs were trained.")
    EARLY_STOPPED = ("early_stopped", "A callback of the job, such as EarlyStopping, ended the training.")
    CANCELLED_BY_USER = ("cancelled_by_user", "Somebody cancelled the job.")
    INVALID_DATA = (
        "invalid_data",
        "The data cannot be loaded, or does not fit the model, the loss or the preparation that the job asks for.",
    )
    INVALID_MODEL = ("invalid_model", "Keras cannot build or compile the model, or its optimizer, loss or metrics.")
    NAN_LOSS = ("nan_loss", "The loss became NaN or infinite, and no further epoch could mend it.")
    OUT_OF_MEMORY = ("out_of_memory", "The machine or the device had not enough memory.")
    MAX_RUNTIME = ("max_runtime", "The job ran longer than its `max_runtime_seconds`.")
    WORKER_LOST = ("worker_lost", "The worker was lost, and this was the last of `max_attempts`.")
    STORAGE_FAILED = ("storage_failed", "A checkpoint could not be stored or did not read back whole.")
    NO_PROGRESS = ("no_progress", "Three attempts in a row ended at the same place.")
    INTERNAL_ERROR = ("internal_error", "The training process died or failed in a way that no other reason names.")


_STATE_OF: Final = {
    Reason.COMPLETED: JobState.SUCCEEDED,
    Reason.EARLY_STOPPED: JobState.SUCCEEDED,
    Reason.CANCELLED_BY_USER: JobState.CANCELLED,
    Reason.INVALID_DATA: JobState.FAILED,
    Reason.INVALID_MODEL: JobState.FAILED,
    Reason.NAN_LOSS: JobState.FAILED,
    Reason.OUT_OF_MEMORY: JobState.FAILED,
    Reason.MAX_RUNTIME: JobState.FAILED,
    Reason.WORKER_LOST: JobState.FAILED,
    Reason.STORAGE_FAILED: JobState.FAILED,
    Reason.NO_PROGRESS: JobState.FAILED,
    Reason.INTERNAL_ERROR: JobState.FAILED,
}


EXTENDABLE: Final = frozenset(
    {Reason.COMPLETED, Reason.EARLY_STOPPED, Reason.CANCELLED_BY_USER, Reason.MAX_RUNTIME, Reason.WORKER_LOST}
)
"""Ends after which a job can be extended: nothing was wrong with the training itself."""


def state_of(reason: Reason) -> JobState:
    """The final state that follows from why a job ended."""
    return _STATE_OF[reason]


class Phase(DescribedEnum):
    """What a running job does at the moment; for people, no decision hangs on it."""

    LOADING_DATA = ("loading_data", "The arrays are read and prepared.")
    BUILDING = ("building", "Keras builds and compiles the model.")
    TRAINING = ("training", "Keras trains.")
    SAVING = ("saving", "The last checkpoints are written and stored.")


class EventKind(DescribedEnum):
    """What can happen to a job. Events are appended, never changed."""

    SUBMITTED = ("submitted", "The job was checked and stored.")
    CLAIMED = ("claimed", "A worker took the job; `data` names the worker.")
    PHASE_CHANGED = ("phase_changed", "The running job entered another phase.")
    EPOCH_ENDED = ("epoch_ended", "An epoch was trained; `data` holds what it logged.")
    LEARNING_RATE_REDUCED = ("learning_rate_reduced", "A callback lowered the learning rate.")
    BEST_IMPROVED = (
        "best_improved",
        "The monitored value is better than in any epoch before, and its weights are stored.",
    )
    CHECKPOINT_SAVED = ("checkpoint_saved", "A ModelCheckpoint of the job wrote a checkpoint, and it is stored.")
    RESUMED = ("resumed", "Training goes on from a snapshot of an earlier attempt; `data` says from where.")
    CANCEL_REQUESTED = ("cancel_requested", "Somebody asked the job to stop; `data` says who.")
    PAUSE_REQUESTED = ("pause_requested", "Somebody asked the running job to wait; `data` says who.")
    PAUSED = ("paused", "The job holds no device any more and waits to be resumed.")
    UNPAUSED = ("unpaused", "Somebody let the job go on, or took back the wish to pause it; `data` says who.")
    EXTENDED = ("extended", "Somebody gave the ended job more epochs; `data` says who and how many.")
    REQUEUED = ("requeue", "The attempt was lost, or its worker shut down; the job waits for another.")
    SUCCEEDED = ("succeeded", "The job ended well.")
    FAILED = ("failed", "The job ended in failure.")
    CANCELLED = ("cancelled", "The job ended because somebody asked for it.")
