"""Whatever a child does, the job ends in the right state, or is queued again."""

import dataclasses
import math
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
from service.store import actions, attempt_outcomes, events, jobs, logs, recording, step_metrics
from service.store.leases import ClaimedJob
from workers.shared.exit_codes import LEASE_NOT_RENEWED
from workers.shared.protocol import Renewed, Start
from workers.supervisor.celery_app import make_app
from workers.supervisor.context import WorkerContext
from workers.supervisor.fork_server import TRAINER, ForkServer, ForkServerBroken
from workers.supervisor.free_slots import FreeSlots
from workers.supervisor.lease_renewer import LeaseRenewer
from workers.supervisor.listener import add_tasks
from workers.supervisor.slots import SlotPool
from workers.supervisor.supervisor import Supervisor

Supervise = Callable[..., Job]
MakeContext = Callable[..., WorkerContext]
Train = Callable[[], tuple[Job, list[list[str]]]]
RequeueMessages = Callable[[str], list[str]]

SILENT_SOON = {"silence": 0.5}
STOPPED_SOON = {"term": 0.2, "kill": 0.4}

LEASE_SECONDS = 5.0
"""Longer than a machine stands still for a while."""


@pytest.fixture
def requeue_messages(database: Database) -> RequeueMessages:
    """Return the message of each event that requeued the job."""

    def requeue_messages(job_id: str) -> list[str]:
        with database.read() as session:
            rows = events.list_after(session, job_id, 0, 1_000)
        return [event.message for event in rows if event.kind is EventKind.REQUEUED]

    return requeue_messages


@pytest.mark.parametrize(
    ("name", "reason", "explanation"),
    [
        ("SIGKILL", Reason.OUT_OF_MEMORY, "was killed by SIGKILL: most likely the machine ran out of memory"),
        ("SIGSEGV", Reason.INTERNAL_ERROR, "was killed by SIGSEGV"),
        ("SIGABRT", Reason.INTERNAL_ERROR, "was killed by SIGABRT"),
    ],
)
def test_a_child_that_dies_twice_at_one_position_fails_the_job(
    name: str, reason: Reason, explanation: str, supervise: Supervise, database: Database
) -> None:
    job = supervise("dies_by_signal", times=2, name=name)
    assert (job.state, job.reason) == (JobState.FAILED, reason)
    assert job.message is not None
    first, heading, *lines = job.message.splitlines()
    assert explanation in first
    assert first.endswith("; this was attempt 2 in a row that failed at the same position.")
    assert [heading, *lines] == ["Its last 50 lines:", *(f"line {number}" for number in range(10, 60))]
    with database.read() as session:
        assert [line.text for line in logs.tail(session, job.id, 2)] == ["line 58", "line 59"]


def test_a_child_that_dies_once_is_a_failed_attempt(supervise: Supervise, requeue_messages: RequeueMessages) -> None:
    """The cause may be the machine: another job that took all its memory, or a mistake of an operator."""
    job = supervise("dies_by_signal", name="SIGKILL")
    assert (job.state, job.failed_attempts, job.stalled_attempts, job.not_before is not None) == (
        JobState.QUEUED,
        1,
        1,
        True,
    )
    [message] = requeue_messages(job.id)
    assert "was killed by SIGKILL" in message
    assert message.splitlines()[-1] == "line 59"


def test_the_message_names_the_exit_code(supervise: Supervise) -> None:
    job = supervise("exits_without_a_message", times=2)
    assert job.reason is Reason.INTERNAL_ERROR
    assert job.message == (
        "The training process exited with code 3 and without a last message; "
        "this was attempt 2 in a row that failed at the same position."
    )


def test_a_failing_import_ends_the_job(supervise: Supervise, requeue_messages: RequeueMessages) -> None:
    job = supervise("exits_on_import", times=3)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.NO_PROGRESS)
    assert all("exited with code 1" in message for message in requeue_messages(job.id))


def test_metrics_within_an_epoch_are_recorded(supervise: Supervise, database: Database) -> None:
    job = supervise("reports_points")
    assert (job.epoch, job.step, job.steps, job.running_metrics) == (2, 6, 9, {"accuracy": 1 / 6, "loss": 6.0})
    with database.read() as session:
        points = step_metrics.list_after(session, job.id, 0, 0, 10)
    assert [(point.epoch, point.step, dict(point.metrics)) for point in points] == [
        (2, 2, {"accuracy": 1 / 2, "loss": 2.0}),
        (2, 4, {"accuracy": 1 / 4, "loss": math.inf}),
        (2, 6, {"accuracy": 1 / 6, "loss": 6.0}),
    ]


def test_a_silent_child_is_killed_and_the_job_is_queued_again(
    supervise: Supervise, requeue_messages: RequeueMessages
) -> None:
    job = supervise("falls_silent", timeouts=SILENT_SOON)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)
    assert requeue_messages(job.id) == [
        "The training process sent nothing for 0.5 s and was killed; the job is queued again."
    ]


def test_three_silent_children_at_one_position_end_the_job(supervise: Supervise) -> None:
    job = supervise("falls_silent", times=3, timeouts=SILENT_SOON)
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


def test_a_child_without_memory_ends_its_job(supervise: Supervise) -> None:
    job = supervise("exhausts_memory")
    assert (job.state, job.reason) == (JobState.FAILED, Reason.OUT_OF_MEMORY)


def test_a_child_that_takes_more_memory_than_its_job_may_ends_its_job(
    make_context: MakeContext,
    submit: Callable[..., str],
    claim: Callable[..., ClaimedJob],
    view: Callable[[str], Job],
    requeue_messages: RequeueMessages,
) -> None:
    job_id = submit()
    context = dataclasses.replace(make_context("takes_memory"), job_memory_bytes=128 * 2**20)
    Supervisor(context, claim()).run()
    job = view(job_id)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.OUT_OF_MEMORY), requeue_messages(job_id)
    assert job.message is not None
    assert "128 MiB" in job.message


def test_a_child_of_a_frozen_worker_exits_when_its_lease_ends(
    fork_server: ForkServer, make_context: MakeContext
) -> None:
    """Its worker cannot stop it any more, and another one may have the job by now."""
    with make_context("trains_for_ever").fork_server.spawn() as child:
        child.send(start_message(lease_seconds=0.5))
        for _ in child.outputs(poll=30.0):
            pass
    assert child.exit_code == LEASE_NOT_RENEWED


def test_a_child_whose_lease_is_renewed_keeps_running(fork_server: ForkServer, make_context: MakeContext) -> None:
    began = time.monotonic()
    with make_context("trains_for_ever").fork_server.spawn() as child:
        child.send(start_message(lease_seconds=LEASE_SECONDS))
        for _ in child.outputs(poll=30.0):
            child.send(Renewed())
            if time.monotonic() - began > 1.5 * LEASE_SECONDS:
                break
    assert child.exit_code == -signal.SIGKILL, "the end of the block killed it"


def start_message(**changes: object) -> Start:
    start = Start(job_id="job_1", attempt=1, spec={}, dataset_path=None, work_dir="", gpus=[], cpu_devices=1, threads=0)
    return start.model_copy(update=changes)


def test_a_child_that_was_asked_to_end_by_somebody_else_does_not_fail_its_job(supervise: Supervise) -> None:
    """The cause is the machine: the attempt counts as failed, and the job pauses a little."""
    job = supervise("dies_by_signal", name="SIGTERM")
    assert (job.state, job.failed_attempts, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_the_last_message_counts_more_than_the_exit_code(supervise: Supervise) -> None:
    job = supervise("crashes_after_last_message")
    assert (job.reason, job.message) == (Reason.NAN_LOSS, "The loss of epoch 3 was nan.")


def test_a_failed_download_is_tried_once_more(supervise: Supervise) -> None:
    job = supervise("has_no_network")
    assert (job.state, job.failed_attempts, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_a_download_that_failed_twice_ends_the_job(supervise: Supervise) -> None:
    job = supervise("has_no_network", times=2)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.INVALID_DATA)
    assert job.message is not None
    assert job.message.startswith("Keras could not load its data set")


def test_success_without_a_checkpoint_is_a_failure(supervise: Supervise) -> None:
    job = supervise("reports_success_without_checkpoint", times=2)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.STORAGE_FAILED)


def test_a_checkpoint_is_only_read_from_the_work_directory(supervise: Supervise) -> None:
    job = supervise("reports_missing_file", times=2)
    assert job.reason is Reason.STORAGE_FAILED
    assert job.message is not None
    assert "No such file" in job.message


def test_lines_that_are_not_messages_are_skipped(supervise: Supervise) -> None:
    assert supervise("sends_garbage").reason is Reason.NAN_LOSS


def test_a_child_that_never_sends_a_message_is_killed_and_its_job_is_queued_again(supervise: Supervise) -> None:
    job = supervise("never_sends", timeouts={"first_message": 0.5})
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)


@pytest.mark.parametrize("trainer", ["ignores_stop", "ignores_term", "never_reads"])
def test_stopping_is_certain(
    trainer: str, supervise: Supervise, submit: Callable[..., str], database: Database, claim: Callable[[], ClaimedJob],
    make_context: MakeContext, view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit()
    claimed = claim()
    with database.write() as session:
        actions.cancel(session, job_id)
    Supervisor(make_context(trainer, **STOPPED_SOON), claimed).run()
    job = view(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)


@pytest.mark.parametrize("trainer", ["ignores_stop", "ignores_term"])
def test_a_shutdown_requeues_the_job_whatever_the_child_does(
    trainer: str, supervise: Supervise, stopping: threading.Event
) -> None:
    stopping.set()
    job = supervise(trainer, timeouts=STOPPED_SOON)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 0)


def test_max_runtime_counts_earlier_attempts(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], database: Database,
    make_context: MakeContext, view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit(max_runtime_seconds=3600)
    with database.write() as session:
        jobs.get(session, job_id).seconds_used = 3600.0
    Supervisor(make_context("ignores_stop", **STOPPED_SOON), claim()).run()
    assert view(job_id).reason is Reason.MAX_RUNTIME


def test_nothing_is_recorded_when_the_lease_is_lost(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], database: Database,
    make_context: MakeContext, view: Callable[[str], Job],
) -> None:  # fmt: skip
    job_id = submit()
    lost = claim()
    with database.write() as session:
        attempt_outcomes.requeue(session, lost.lease, "test")
    held = claim()
    Supervisor(make_context("crashes_after_last_message"), lost).run()
    job = view(job_id)
    assert (job.state, job.attempt, job.phase) == (JobState.RUNNING, held.lease.attempt, None)


def test_no_child_and_no_file_outlives_its_job(
    supervise: Supervise, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = []
    spawn = ForkServer.spawn

    def spawn_and_remember(fork_server: ForkServer) -> object:
        children.append(spawn(fork_server))
        return children[-1]

    monkeypatch.setattr(ForkServer, "spawn", spawn_and_remember)
    supervise("dies_by_signal", name="SIGSEGV")
    supervise("never_sends", timeouts={"first_message": 0.5})
    assert [child.exit_code for child in children] == [-signal.SIGSEGV, -signal.SIGKILL]
    assert list(make_context("any").work_dir.iterdir()) == []


def test_a_broken_fork_server_is_not_a_failed_attempt(
    supervise: Supervise, view: Callable[[str], Job], submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch,
    claim: Callable[[], ClaimedJob], make_context: MakeContext,
) -> None:  # fmt: skip
    def spawn(fork_server: ForkServer) -> None:
        raise ForkServerBroken("test")

    monkeypatch.setattr(ForkServer, "spawn", spawn)
    job_id = submit()
    with pytest.raises(ForkServerBroken):
        Supervisor(make_context("any"), claim()).run()
    job = view(job_id)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 0)


def test_an_error_of_the_worker_is_a_failed_attempt(
    submit: Callable[..., str], claim: Callable[[], ClaimedJob], make_context: MakeContext,
    view: Callable[[str], Job],
) -> None:  # fmt: skip
    """Otherwise a worker with a full disk would claim every job, again and again."""
    job_id = submit()
    context = make_context("any")
    context.work_dir.write_text("a file, so no folder can be created in it")
    with pytest.raises(NotADirectoryError) as raised:
        Supervisor(context, claim()).run()
    assert raised.value.__notes__ == [f"job {job_id}, attempt 1"], "the slot's log must name the job"
    job = view(job_id)
    assert (job.state, job.failed_attempts, job.not_before is not None) == (JobState.QUEUED, 1, True)


def test_a_slot_that_failed_pauses(
    submit: Callable[..., str], make_context: MakeContext, view: Callable[[str], Job],
    stopping: threading.Event,
) -> None:  # fmt: skip
    first, second = submit(), submit()
    context = make_context("any")
    context.work_dir.write_text("a file, so no folder can be created in it")
    slot_pool = SlotPool(context, "wk_test", ["default"], FreeSlots(1), list, Notifier("redis://127.0.0.1:1/0"))
    working = threading.Thread(target=slot_pool.work)
    working.start()
    working.join(timeout=1.0)
    assert working.is_alive(), "the slot must wait before it breaks another job"
    assert [view(job_id).attempt for job_id in (first, second)] == [1, 0]
    stopping.set()
    working.join(timeout=120.0)
    slot_pool.close()


class RecordingNotifier(Notifier):
    """Remembers the pools that it was to notify."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1/0")
        self.pools: list[str] = []

    def notify_unless_waiting(self, pool: str) -> bool:
        self.pools.append(pool)
        return True


def test_a_notification_in_one_pool_starts_the_first_job_of_all_pools(
    submit: Callable[..., str],
    make_context: MakeContext,
    view: Callable[[str], Job],
    stopping: threading.Event,
) -> None:
    later = submit()
    first = submit(resources={"pool": "large"}, priority=100)
    context, notifier, pools = make_context("crashes_after_last_message"), RecordingNotifier(), ("default", "large")
    slot_pool = SlotPool(context, "wk_test", pools, FreeSlots(1), list, notifier)
    app = make_app("redis://127.0.0.1:1/0", pools, slots=1)
    add_tasks(app, slot_pool, pools, notifier)
    app.tasks[TASK_NAME]("default")
    slot_pool.close()
    ended = [view(job_id).finished_at for job_id in (first, later)]
    assert ended[0] is not None
    assert ended[1] is not None
    assert ended[0] < ended[1]


def test_the_end_of_a_job_notifies_every_pool_with_a_queued_job(
    submit: Callable[..., str], make_context: MakeContext, view: Callable[[str], Job]
) -> None:
    """The other job may have waited for the GPUs of the one that ended."""
    ended, notifier = submit(), RecordingNotifier()
    submit(resources={"pool": "large"})
    slot_pool = SlotPool(
        make_context("crashes_after_last_message"), "wk_test", ["default"], FreeSlots(1), list, notifier
    )
    slot_pool.work()
    slot_pool.close()
    assert view(ended).state.is_final
    assert set(notifier.pools) == {"large"}


class SlowStorage(FolderStorage):
    """Takes longer than a lease to store a file, and to read one back. Meanwhile expired leases are taken back."""

    def __init__(self, root: Path, lease_seconds: float, expire_leases: Callable[[], list[str]]) -> None:
        super().__init__(root)
        self._lease_seconds = lease_seconds
        self._expire_leases = expire_leases
        self.expired: list[list[str]] = []

    def put(self, key: str, source: Path) -> None:
        self._wait()
        super().put(key, source)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._wait()
        return super().open(key, start, length)

    def _wait(self) -> None:
        threading.Event().wait(1.3 * self._lease_seconds)
        self.expired.append(self._expire_leases())


@pytest.fixture
def train_with_slow_storage(
    submit: Callable[..., str], claim: Callable[..., ClaimedJob], make_context: MakeContext,
    view: Callable[[str], Job], database: Database, tmp_path: Path,
) -> Callable[[], tuple[Job, list[list[str]]]]:  # fmt: skip
    """Return the job afterwards, and the pools of the leases that expired during each wait."""

    def expire_leases() -> list[str]:
        with database.write() as session:
            return attempt_outcomes.expire_leases(session)

    def train() -> tuple[Job, list[list[str]]]:
        lease_seconds = 3.0
        job_id = submit(fit={"epochs": 1, "batch_size": 256})
        storage = SlowStorage(tmp_path / "storage", lease_seconds, expire_leases)
        context = dataclasses.replace(make_context(TRAINER, lease_seconds=lease_seconds), storage=storage)
        Supervisor(context, claim(lease_seconds)).run()
        return view(job_id), storage.expired

    return train


def test_the_lease_is_renewed_while_files_are_stored_and_read_back(train_with_slow_storage: Train) -> None:
    job, expired = train_with_slow_storage()
    assert (job.state, job.failed_attempts, job.attempt) == (JobState.SUCCEEDED, 0, 1)
    assert len(expired) >= 3
    assert not any(expired)


def test_the_lease_is_lost_without_its_renewer(train_with_slow_storage: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart that shows that the test above can fail."""
    monkeypatch.setattr(LeaseRenewer, "_renew_repeatedly", lambda renewer: None)
    job, _ = train_with_slow_storage()
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)
