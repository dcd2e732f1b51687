"""Whatever a child does, the job ends in a state that is right, or waits again."""

import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fitqueue.states import EventKind, JobState, Reason
from service.db import Database
from service.models import Job
from service.queue import TASK_NAME, Notifier
from service.storage import FolderStorage
from service.store import actions, events, jobs, leases, logs, recording
from service.store.leases import ClaimedJob
from workers.shared.exit_codes import LEASE_NOT_RENEWED
from workers.shared.protocol import Renewed
from workers.shared.protocol import Start as Started
from workers.supervisor.celery_app import make_app
from workers.supervisor.fork_server import TRAINER, ForkServer, ForkServerBroken
from workers.supervisor.lease_renewer import LeaseRenewer
from workers.supervisor.listener import add_tasks
from workers.supervisor.slots import SlotPool
from workers.supervisor.supervisor import Supervisor, WorkerContext

Supervise = Callable[..., Job]
Pointer = Callable[[str], WorkerContext]
Train = Callable[[], tuple[Job, list[list[str]]]]
Requeues = Callable[[str], list[str]]


@pytest.fixture
def requeues(database: Database) -> Requeues:
    """What the events tell of each time that the job was put back."""

    def requeues(job_id: str) -> list[str]:
        with database.read() as session:
            found = events.list_after(session, job_id, 0, 1_000)
        return [event.message for event in found if event.kind is EventKind.REQUEUED]

    return requeues


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("SIGKILL", Reason.OUT_OF_MEMORY, "was killed by SIGKILL: most likely the machine ran out of memory"),
        ("SIGSEGV", Reason.INTERNAL_ERROR, "was killed by SIGSEGV"),
        ("SIGABRT", Reason.INTERNAL_ERROR, "was killed by SIGABRT"),
    ],
)
def test_a_child_that_dies_twice_at_a_place_fails_the_job_in_words(
    name: str, reason: Reason, words: str, supervise: Supervise, database: Database
) -> None:
    job = supervise("dies_by_signal", times=2, name=name)
    assert (job.state, job.reason) == (JobState.FAILED, reason)
    assert job.message is not None
    first, heading, *lines = job.message.splitlines()
    assert words in first
    assert first.endswith("; this was attempt 2 in a row that ended at the same place.")
    assert [heading, *lines] == ["Its last 50 lines:", *(f"line {number}" for number in range(10, 60))]
    with database.read() as session:
        assert [line.text for line in logs.tail(session, job.id, 2)] == ["line 58", "line 59"]


def test_a_child_that_dies_once_costs_the_job_an_attempt(supervise: Supervise, requeues: Requeues) -> None:
    """It may have been the machine's doing: another job that took all its memory, an operator's mistake."""
    job = supervise("dies_by_signal", name="SIGKILL")
    assert (job.state, job.failed_attempts, job.stalled_attempts, job.not_before is not None) == (
        JobState.QUEUED,
        1,
        1,
        True,
    )
    [told] = requeues(job.id)
    assert "was killed by SIGKILL" in told
    assert told.splitlines()[-1] == "line 59"


def test_an_exit_code_is_told(supervise: Supervise) -> None:
    job = supervise("leaves_without_a_word", times=2)
    assert job.reason is Reason.INTERNAL_ERROR
    assert job.message == (
        "The training process left with exit code 3 and without a last word; "
        "this was attempt 2 in a row that ended at the same place."
    )


def test_an_import_that_fails_ends_the_job(supervise: Supervise, requeues: Requeues) -> None:
    job = supervise("exits_on_import", times=3)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.NO_PROGRESS)
    assert all("exit code 1" in told for told in requeues(job.id))


def test_a_child_that_falls_silent_is_killed_and_the_job_waits_again(supervise: Supervise, requeues: Requeues) -> None:
    job = supervise("falls_silent")
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)
    assert requeues(job.id) == ["The training process said nothing for 5 s and was ended; the job waits again."]


def test_three_that_fall_silent_at_the_same_place_are_enough(supervise: Supervise) -> None:
    job = supervise("falls_silent", times=3)
    assert (job.state, job.reason, job.failed_attempts) == (JobState.FAILED, Reason.NO_PROGRESS, 2)


def test_a_flood_of_lines_neither_hides_the_end_nor_fills_the_database(
    supervise: Supervise, database: Database
) -> None:
    job = supervise("floods_stdout")
    assert (job.reason, job.message) == (Reason.NAN_LOSS, "The loss of epoch 3 was nan.")
    with database.read() as session:
        kept = logs.tail(session, job.id, 2 * recording.MAX_LINES)
    assert len(kept) == recording.MAX_LINES
    assert kept[-1].text == "line 29999"


def test_a_child_that_eats_all_its_memory_is_told_from_others(supervise: Supervise) -> None:
    job = supervise("eats_memory")
    assert (job.state, job.reason) == (JobState.FAILED, Reason.OUT_OF_MEMORY)


def test_a_child_whose_worker_is_frozen_leaves_when_the_lease_ends(fork_server: ForkServer, place: Pointer) -> None:
    """Its worker cannot stop it any more, and another may have the job by now."""
    with place("trains_for_ever").fork_server.spawn() as child:
        child.send(started(lease_seconds=0.5))
        for _ in child.events(poll=30.0):
            pass
    assert child.exit_code == LEASE_NOT_RENEWED


def test_a_child_whose_lease_is_renewed_stays(fork_server: ForkServer, place: Pointer) -> None:
    began = time.monotonic()
    with place("trains_for_ever").fork_server.spawn() as child:
        child.send(started(lease_seconds=1.0))
        for _ in child.events(poll=30.0):
            child.send(Renewed())
            if time.monotonic() - began > 3.0:
                break
    assert child.exit_code == -signal.SIGKILL, "the end of the block ended it"


def started(**changes: object) -> Started:
    start = Started(
        job_id="job_1", attempt=1, spec={}, dataset_path=None, work_dir="", gpus=[], cpu_devices=1, threads=0
    )
    return start.model_copy(update=changes)


def test_a_child_that_somebody_else_ends_does_not_fail_the_job(supervise: Supervise) -> None:
    """It is the machine's doing: the loss is counted, and the job waits a little."""
    job = supervise("dies_by_signal", name="SIGTERM")
    assert (job.state, job.failed_attempts, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_the_last_word_is_believed_before_the_exit_code(supervise: Supervise) -> None:
    job = supervise("crashes_after_its_last_word")
    assert (job.reason, job.message) == (Reason.NAN_LOSS, "The loss of epoch 3 was nan.")


def test_a_download_that_failed_is_tried_once_more(supervise: Supervise) -> None:
    job = supervise("has_no_network")
    assert (job.state, job.failed_attempts, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_a_download_that_failed_twice_ends_the_job(supervise: Supervise) -> None:
    job = supervise("has_no_network", times=2)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.INVALID_DATA)
    assert job.message is not None
    assert job.message.startswith("Keras could not load its data set")


def test_success_without_a_checkpoint_is_none(supervise: Supervise) -> None:
    job = supervise("claims_success", times=2)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.STORAGE_FAILED)


def test_a_checkpoint_is_looked_for_in_the_work_directory_alone(supervise: Supervise) -> None:
    job = supervise("announces_no_file", times=2)
    assert job.reason is Reason.STORAGE_FAILED
    assert job.message is not None
    assert "No such file" in job.message


def test_what_is_no_event_is_passed_over(supervise: Supervise) -> None:
    assert supervise("babbles").reason is Reason.NAN_LOSS


def test_a_child_that_never_speaks_is_killed_and_the_job_is_not_to_blame(supervise: Supervise) -> None:
    job = supervise("never_speaks")
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)


@pytest.mark.parametrize("trainer", ["ignores_stop", "ignores_term", "never_reads"])
def test_stopping_is_certain(
    trainer: str, supervise: Supervise, submit: Callable[..., str], database: Database, claim: Callable[[], ClaimedJob],
    place: Callable[[str], WorkerContext], view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit()
    claimed = claim()
    with database.write() as session:
        actions.cancel(session, job_id)
    Supervisor(place(trainer), claimed).run()
    job = view(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


@pytest.mark.parametrize("trainer", ["ignores_stop", "ignores_term"])
def test_a_shutdown_puts_the_job_back_whatever_the_child_does(
    trainer: str, supervise: Supervise, stopping: threading.Event
) -> None:
    stopping.set()
    job = supervise(trainer)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 0)


def test_max_runtime_counts_earlier_attempts(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], database: Database,
    place: Callable[[str], WorkerContext], view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit(max_runtime_seconds=3600)
    with database.write() as session:
        jobs.get(session, job_id).seconds_used = 3600.0
    Supervisor(place("ignores_stop"), claim()).run()
    assert view(job_id).reason is Reason.MAX_RUNTIME


def test_nothing_is_written_when_the_lease_is_lost(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], database: Database,
    place: Callable[[str], WorkerContext], view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit()
    lost = claim()
    with database.write() as session:
        leases.requeue(session, lost.lease, "test")
    held = claim()
    Supervisor(place("crashes_after_its_last_word"), lost).run()
    job = view(job_id)
    assert (job.state, job.attempt, job.phase) == (JobState.RUNNING, held.lease.attempt, None)


def test_no_child_and_no_file_outlives_its_job(
    supervise: Supervise, place: Callable[[str], WorkerContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    children = []
    spawn = ForkServer.spawn

    def remembering(fork_server: ForkServer) -> object:
        children.append(spawn(fork_server))
        return children[-1]

    monkeypatch.setattr(ForkServer, "spawn", remembering)
    supervise("dies_by_signal", name="SIGSEGV")
    supervise("never_speaks")
    assert [child.exit_code for child in children] == [-signal.SIGSEGV, -signal.SIGKILL]
    assert list(place("any").work_dir.iterdir()) == []


def test_a_broken_nursery_costs_the_job_nothing(
    supervise: Supervise, view: Callable[[str], Job], submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch,
    claim: Callable[[], ClaimedJob], place: Callable[[str], WorkerContext],
) -> None:  # fmt: skip
    def broken(fork_server: ForkServer) -> None:
        raise ForkServerBroken("test")

    monkeypatch.setattr(ForkServer, "spawn", broken)
    job_id = submit()
    with pytest.raises(ForkServerBroken):
        Supervisor(place("any"), claim()).run()
    job = view(job_id)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 0)


def test_a_fault_of_the_worker_counts_and_the_job_waits(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], place: Callable[[str], WorkerContext],
    view: Callable[[str], Job],
) -> None:  # fmt: skip
    """Else a worker whose disk is full would take every job, again and again."""
    job_id = submit()
    here = place("any")
    here.work_dir.write_text("no folder can be made in a file")
    with pytest.raises(NotADirectoryError) as raised:
        Supervisor(here, claim()).run()
    assert raised.value.__notes__ == [f"job {job_id}, attempt 1"], "the log of the slot tells of which job"
    job = view(job_id)
    assert (job.state, job.failed_attempts, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_a_slot_that_failed_pauses(
    submit: Callable[..., str], place: Callable[[str], WorkerContext], view: Callable[[str], Job],
    stopping: threading.Event,
) -> None:  # fmt: skip
    first, second = submit(), submit()
    here = place("any")
    here.work_dir.write_text("no folder can be made in a file")
    slot_pool = SlotPool(here, "wk_test", ["default"], 1, list, Notifier("redis://127.0.0.1:1/0"))
    working = threading.Thread(target=slot_pool.work)
    working.start()
    working.join(timeout=1.0)
    assert working.is_alive(), "the slot must wait before it breaks another job"
    assert [view(job_id).attempt for job_id in (first, second)] == [1, 0]
    stopping.set()
    working.join(timeout=10.0)
    slot_pool.close()


class NotingBell(Notifier):
    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1/0")
        self.rung: list[str] = []

    def notify_unless_waiting(self, pool: str) -> bool:
        self.rung.append(pool)
        return True


def test_a_bell_in_one_pool_begins_what_is_first_in_all_of_them(
    submit: Callable[..., str],
    place: Callable[[str], WorkerContext],
    view: Callable[[str], Job],
    stopping: threading.Event,
) -> None:
    later = submit()
    first = submit(resources={"pool": "large"}, priority=100)
    slot_pool = SlotPool(place("crashes_after_its_last_word"), "wk_test", ["default", "large"], 1, list, NotingBell())
    app = make_app("redis://127.0.0.1:1/0", ["default", "large"], slots=1)
    add_tasks(app, slot_pool)
    app.tasks[TASK_NAME]("default")
    slot_pool.close()
    ended = [view(job_id).finished_at for job_id in (first, later)]
    assert ended[0] is not None
    assert ended[1] is not None
    assert ended[0] < ended[1]


def test_when_a_job_ends_every_pool_hears_of_it_in_which_one_waits(
    submit: Callable[..., str], place: Callable[[str], WorkerContext], view: Callable[[str], Job]
) -> None:
    """It may be the GPUs of the one that ended that the other waits for."""
    ended, notifier = submit(), NotingBell()
    submit(resources={"pool": "large"})
    slot_pool = SlotPool(place("crashes_after_its_last_word"), "wk_test", ["default"], 1, list, notifier)
    slot_pool.work()
    slot_pool.close()
    assert view(ended).state.is_final
    assert set(notifier.rung) == {"large"}


class SlowStore(FolderStorage):
    """Takes longer than a lease to store a file, and to read one back. Meanwhile the sweeper comes round."""

    def __init__(self, root: Path, lease_seconds: float, sweep: Callable[[], list[str]]) -> None:
        super().__init__(root)
        self._lease_seconds = lease_seconds
        self._sweep = sweep
        self.swept: list[list[str]] = []

    def put(self, key: str, source: Path) -> None:
        self._linger()
        super().put(key, source)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._linger()
        return super().open(key, start, length)

    def _linger(self) -> None:
        threading.Event().wait(1.3 * self._lease_seconds)
        self.swept.append(self._sweep())


@pytest.fixture
def train_with_a_slow_store(
    submit: Callable[..., str], claim: Callable[..., ClaimedJob], place: Callable[..., WorkerContext],
    view: Callable[[str], Job], database: Database, tmp_path: Path,
) -> Callable[[], tuple[Job, list[list[str]]]]:  # fmt: skip
    """The job afterwards, and what each sweep has taken back."""

    def sweep() -> list[str]:
        with database.write() as session:
            return leases.expire_leases(session)

    def train() -> tuple[Job, list[list[str]]]:
        lease_seconds = 3.0
        job_id = submit(fit={"epochs": 1, "batch_size": 256})
        store = SlowStore(tmp_path / "store", lease_seconds, sweep)
        here = dataclasses.replace(place(TRAINER, lease_seconds=lease_seconds), store=store)
        Supervisor(here, claim(lease_seconds)).run()
        return view(job_id), store.swept

    return train


def test_a_lease_is_kept_while_files_are_stored_and_read_back(train_with_a_slow_store: Train) -> None:
    job, swept = train_with_a_slow_store()
    assert (job.state, job.failed_attempts, job.attempt) == (JobState.SUCCEEDED, 0, 1)
    assert len(swept) >= 3
    assert not any(swept)


def test_without_its_keeper_the_lease_is_lost(train_with_a_slow_store: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin that shows that the test can fail."""
    monkeypatch.setattr(LeaseRenewer, "_keep", lambda keeper: None)
    job, _ = train_with_a_slow_store()
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)
