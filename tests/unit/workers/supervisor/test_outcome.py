"""What follows from the end of an attempt: a pure function, so each case is a row."""

import errno
import signal
from dataclasses import replace
from typing import Any

import pytest

from fitqueue.states import Reason
from service.storage import StorageError
from service.store.retry_policy import AttemptFailure
from workers.shared.protocol import Ended, SnapshotRefused, Stopped
from workers.supervisor.outcome import (
    AttemptEnd,
    FailAttempt,
    Finish,
    Outcome,
    Requeue,
    after_training,
    before_training,
    on_error,
)

COMPLETED = Ended(reason=Reason.COMPLETED, message="All 3 epochs were trained.")
SHUT_DOWN = Requeue("The worker was shut down; the job is queued again.")
PAUSED = Requeue("The job left its worker, and is paused.")
CANCELLED_BY_FORCE = Finish(Reason.CANCELLED_BY_USER, "The job was cancelled; its process had to be ended by force.")
SIGKILLED = (
    "The training process was killed by SIGKILL: most likely the machine ran out of memory and the kernel killed the "
    "largest process"
)

EXITED = AttemptEnd(last_message=None, exit_code=0, stop_cause=None, was_active=True)


def failed(why: str, reason: Reason | None = None, details: str = "") -> FailAttempt:
    return FailAttempt(AttemptFailure(why, reason, details))


def outage(why: str) -> FailAttempt:
    return FailAttempt(AttemptFailure(why, Reason.STORAGE_FAILED, is_outage=True))


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("cancel", Finish(Reason.CANCELLED_BY_USER, "The job was cancelled before training began.")),
        ("pause", PAUSED),
        ("shutdown", SHUT_DOWN),
        ("drain", Requeue("The worker was drained; the job is queued again.")),
    ],
)
def test_a_job_that_is_stopped_before_training(cause: Any, outcome: Outcome) -> None:
    assert before_training(cause) == outcome


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        pytest.param({"last_message": COMPLETED}, Finish(Reason.COMPLETED, COMPLETED.message), id="completed"),
        pytest.param(
            {"last_message": COMPLETED, "exit_code": -signal.SIGSEGV, "stop_cause": "cancel"},
            Finish(Reason.COMPLETED, COMPLETED.message),
            id="the last message counts more than the exit code and the request",
        ),
        pytest.param(
            {"last_message": Ended(reason=Reason.INVALID_DATA, message="No network.", may_recover=True)},
            failed("No network", Reason.INVALID_DATA),
            id="it may recover",
        ),
        pytest.param(
            {"last_message": Ended(reason=Reason.STORAGE_FAILED, message="The disk is full.")},
            failed("The disk is full", Reason.STORAGE_FAILED),
            id="a file that the child cannot write",
        ),
        pytest.param(
            {"last_message": Ended(reason=Reason.STORAGE_FAILED, message="The disk is full.", may_recover=True)},
            outage("The disk is full"),
            id="a full disk of the child",
        ),
        pytest.param(
            {"last_message": SnapshotRefused(message="It is of another version.")},
            FailAttempt(AttemptFailure("It is of another version"), forget_snapshot=True),
            id="the snapshot was refused",
        ),
        pytest.param({"last_message": Stopped(), "stop_cause": "pause"}, PAUSED, id="paused"),
        pytest.param({"last_message": Stopped(), "stop_cause": "shutdown"}, SHUT_DOWN, id="shut down"),
        pytest.param({"last_message": Stopped()}, SHUT_DOWN, id="stopped by itself"),
        pytest.param({"stop_cause": "pause"}, PAUSED, id="paused without a last message"),
        pytest.param({"stop_cause": "shutdown"}, SHUT_DOWN, id="shut down without a last message"),
        pytest.param({"stop_cause": "cancel"}, CANCELLED_BY_FORCE, id="cancelled by force"),
        pytest.param(
            {"stop_cause": "cancel", "silent_seconds": 5.0}, CANCELLED_BY_FORCE, id="silent when it was cancelled"
        ),
        pytest.param(
            {"stop_cause": "max_runtime"},
            Finish(
                Reason.MAX_RUNTIME, "The job had run for its max_runtime_seconds; its process had to be ended by force."
            ),
            id="over its time, by force",
        ),
        pytest.param(
            {"silent_seconds": 5.0}, failed("The training process sent nothing for 5 s and was killed"), id="silent"
        ),
        pytest.param(
            {"silent_seconds": 5.0, "was_active": False},
            failed("The training process never sent a message and was killed"),
            id="silent from the start",
        ),
        pytest.param(
            {"exit_code": -signal.SIGKILL, "last_lines": ["one", "two"]},
            failed(SIGKILLED, Reason.OUT_OF_MEMORY, "Its last 2 lines:\none\ntwo"),
            id="killed",
        ),
        pytest.param(
            {"exit_code": -signal.SIGKILL, "was_active": False}, failed(SIGKILLED), id="killed before it was active"
        ),
        pytest.param(
            {"upload_failure": "A file could not be stored: no space", "unsaved_path": "/unsaved/job_1/1 on host"},
            failed(
                "A file could not be stored: no space; the files that were not stored are in "
                "/unsaved/job_1/1 on host",
                Reason.STORAGE_FAILED,
            ),
            id="a file could not be stored",
        ),
        pytest.param(
            {"upload_failure": "A file could not be stored: no space", "is_outage": True, "last_message": COMPLETED},
            outage("A file could not be stored: no space"),
            id="a storage without room",
        ),
        pytest.param(
            {"upload_failure": "A checkpoint could not be stored: no space", "last_message": COMPLETED},
            failed("A checkpoint could not be stored: no space", Reason.STORAGE_FAILED),
            id="a file could not be stored, nor moved",
        ),
        pytest.param(
            {"is_upload_abandoned": True, "last_message": Stopped(), "unsaved_path": "/unsaved/job_1/1 on host"},
            Requeue(
                "The worker was shut down before all files were stored; the files that were not stored are in "
                "/unsaved/job_1/1 on host; the job is queued again."
            ),
            id="shut down during an upload",
        ),
    ],
)  # fmt: skip
def test_a_job_whose_child_has_ended(end: dict[str, Any], outcome: Outcome) -> None:
    assert after_training(replace(EXITED, **end)) == outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StorageError("It is down."), "The worker cannot fetch what the job needs (It is down.)"),
        (OSError(errno.ENOSPC, "full"), f"The worker cannot fetch what the job needs ([Errno {errno.ENOSPC}] full)"),
        (
            OSError(errno.EACCES, "no"),
            f"The worker could not train the job (PermissionError: [Errno {errno.EACCES}] no)",
        ),
        (KeyError("x"), "The worker could not train the job (KeyError: 'x')"),
    ],
)
def test_a_job_that_the_worker_could_not_train(error: Exception, outcome: str) -> None:
    is_outage = outcome.startswith("The worker cannot fetch")
    assert on_error(error) == FailAttempt(AttemptFailure(outcome, is_outage=is_outage))


def test_a_child_that_took_more_memory_than_it_may_ends_the_job() -> None:
    end = replace(EXITED, exit_code=-signal.SIGKILL, memory_bound=2**28)
    assert after_training(end) == Finish(
        Reason.OUT_OF_MEMORY,
        "The job took more than the 256 MiB of memory that a job may take here. A smaller batch_size or smaller data "
        "may help.",
    )
