"""Whatever a child does, the job ends in a state that is right, or waits again."""

import signal
import threading
from collections.abc import Callable

import pytest

from fitqueue.states import JobState, Reason
from service.db import Database
from service.models import Job
from service.store import jobs, leases, logs
from service.store.leases import ClaimedJob
from workers.devices import GPUs
from workers.nursery import Nursery, NurseryBroken
from workers.station import Station
from workers.supervisor import Supervision, Workplace

Supervise = Callable[..., Job]


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("SIGKILL", Reason.OUT_OF_MEMORY, "was killed by SIGKILL: most likely the machine ran out of memory"),
        ("SIGSEGV", Reason.INTERNAL_ERROR, "was killed by SIGSEGV"),
        ("SIGABRT", Reason.INTERNAL_ERROR, "was killed by SIGABRT"),
    ],
)
def test_a_child_that_dies_fails_the_job_in_words(
    name: str, reason: Reason, words: str, supervise: Supervise, database: Database
) -> None:
    job = supervise("dies_by_signal", name=name)
    assert (job.state, job.reason) == (JobState.FAILED, reason)
    assert job.message is not None
    assert words in job.message
    assert job.message.splitlines()[1:] == [f"line {number}" for number in range(10, 60)]
    with database.read() as session:
        assert [line.text for line in logs.tail(session, job.id, 2)] == ["line 58", "line 59"]


def test_an_exit_code_is_told(supervise: Supervise) -> None:
    job = supervise("leaves_without_a_word")
    assert job.reason is Reason.INTERNAL_ERROR
    assert job.message == "The training process left with exit code 3 and without a last word."


def test_a_child_that_somebody_else_ends_does_not_fail_the_job(supervise: Supervise) -> None:
    """It is the machine's doing: the loss is counted, and the job waits a little."""
    job = supervise("dies_by_signal", name="SIGTERM")
    assert (job.state, job.losses, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_the_last_word_is_believed_before_the_exit_code(supervise: Supervise) -> None:
    job = supervise("crashes_after_its_last_word")
    assert (job.reason, job.message) == (Reason.NAN_LOSS, "The loss of epoch 3 was nan.")


def test_success_without_a_checkpoint_is_none(supervise: Supervise) -> None:
    job = supervise("claims_success")
    assert (job.state, job.reason) == (JobState.FAILED, Reason.ARTIFACT_STORE_FAILED)


def test_a_checkpoint_is_looked_for_in_the_work_directory_alone(supervise: Supervise) -> None:
    job = supervise("announces_no_file")
    assert job.reason is Reason.ARTIFACT_STORE_FAILED
    assert job.message is not None
    assert "No such file" in job.message


def test_what_is_no_event_is_passed_over(supervise: Supervise) -> None:
    assert supervise("babbles").reason is Reason.NAN_LOSS


def test_a_child_that_never_speaks_is_killed_and_the_job_is_not_to_blame(supervise: Supervise) -> None:
    job = supervise("never_speaks")
    assert (job.state, job.losses) == (JobState.QUEUED, 1)


@pytest.mark.parametrize("trainer", ["ignores_stop", "ignores_term", "never_reads"])
def test_stopping_is_certain(
    trainer: str, supervise: Supervise, submit: Callable[..., str], database: Database, claim: Callable[[], ClaimedJob],
    place: Callable[[str], Workplace], view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit()
    claimed = claim()
    with database.write() as session:
        jobs.cancel(session, job_id)
    Supervision(place(trainer), claimed, []).run()
    job = view(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


@pytest.mark.parametrize("trainer", ["ignores_stop", "ignores_term"])
def test_a_shutdown_puts_the_job_back_whatever_the_child_does(
    trainer: str, supervise: Supervise, stopping: threading.Event
) -> None:
    stopping.set()
    job = supervise(trainer)
    assert (job.state, job.losses) == (JobState.QUEUED, 0)


def test_max_runtime_counts_earlier_attempts(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], database: Database,
    place: Callable[[str], Workplace], view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit(max_runtime_seconds=3600)
    with database.write() as session:
        jobs.get(session, job_id).seconds_used = 3600.0
    Supervision(place("ignores_stop"), claim(), []).run()
    assert view(job_id).reason is Reason.MAX_RUNTIME


def test_nothing_is_written_when_the_lease_is_lost(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], database: Database,
    place: Callable[[str], Workplace], view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit()
    lost = claim()
    with database.write() as session:
        leases.put_back(session, lost.lease, "test")
    held = claim()
    Supervision(place("crashes_after_its_last_word"), lost, []).run()
    job = view(job_id)
    assert (job.state, job.attempt, job.phase) == (JobState.RUNNING, held.lease.attempt, None)


def test_no_child_and_no_file_outlives_its_job(
    supervise: Supervise, place: Callable[[str], Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    children = []
    spawn = Nursery.spawn

    def remembering(nursery: Nursery) -> object:
        children.append(spawn(nursery))
        return children[-1]

    monkeypatch.setattr(Nursery, "spawn", remembering)
    supervise("dies_by_signal", name="SIGSEGV")
    supervise("never_speaks")
    assert [child.exit_code for child in children] == [-signal.SIGSEGV, -signal.SIGKILL]
    assert list(place("any").work_dir.iterdir()) == []


def test_a_broken_nursery_costs_the_job_nothing(
    supervise: Supervise, view: Callable[[str], Job], submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch,
    claim: Callable[[], ClaimedJob], place: Callable[[str], Workplace],
) -> None:  # fmt: skip
    def broken(nursery: Nursery) -> None:
        raise NurseryBroken("test")

    monkeypatch.setattr(Nursery, "spawn", broken)
    job_id = submit()
    with pytest.raises(NurseryBroken):
        Supervision(place("any"), claim(), []).run()
    job = view(job_id)
    assert (job.state, job.losses) == (JobState.QUEUED, 0)


def test_a_fault_of_the_worker_counts_and_the_job_waits(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], place: Callable[[str], Workplace],
    view: Callable[[str], Job],
) -> None:  # fmt: skip
    """Else a worker whose disk is full would take every job, again and again."""
    job_id = submit()
    here = place("any")
    here.work_dir.write_text("no folder can be made in a file")
    with pytest.raises(NotADirectoryError):
        Supervision(here, claim(), []).run()
    job = view(job_id)
    assert (job.state, job.losses, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_a_slot_that_failed_pauses(
    submit: Callable[..., str], place: Callable[[str], Workplace], view: Callable[[str], Job],
    stopping: threading.Event,
) -> None:  # fmt: skip
    first, second = submit(), submit()
    here = place("any")
    here.work_dir.write_text("no folder can be made in a file")
    station = Station(here, "wk_test", ["default"], 1, GPUs([]))
    working = threading.Thread(target=station.work)
    working.start()
    working.join(timeout=1.0)
    assert working.is_alive(), "the slot must wait before it breaks another job"
    assert [view(job_id).attempt for job_id in (first, second)] == [1, 0]
    stopping.set()
    working.join(timeout=10.0)
    station.close()
