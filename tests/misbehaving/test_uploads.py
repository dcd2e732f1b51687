"""Whatever the storage does, a training does not wait for it, and nothing that was trained is lost."""

import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import h5py
import pytest

from fitqueue.states import EventKind, JobState
from service.db import Database
from service.models import Job
from service.queue import Notifier
from service.storage import FolderStorage, StorageError
from service.storage.bucket import BucketStorage
from service.storage_address import Bucket
from service.store import actions, checkpoints, events, jobs
from service.store.leases import ClaimedJob
from tests.s3 import S3Server
from tests.waiting import until
from workers.shared.protocol import FileReport
from workers.supervisor import uploads
from workers.supervisor.context import WorkerContext
from workers.supervisor.fork_server import TRAINER
from workers.supervisor.reaper import Reaper
from workers.supervisor.supervisor import Supervisor
from workers.supervisor.unsaved import KEPT_WITHOUT_JOB, sweep
from workers.supervisor.uploads import Uploads

Claim = Callable[[], ClaimedJob]
MakeContext = Callable[..., WorkerContext]
Submit = Callable[..., str]
View = Callable[[str], Job]

SECONDS = 120.0


class WaitingStorage(FolderStorage):
    """Stores nothing before the child has created its file, or `timeout` seconds have passed."""

    timeout = SECONDS
    child_went_on = False

    def put(self, key: str, source: Path) -> None:
        deadline = time.monotonic() + self.timeout
        while not (source.parent / "all_printed").exists() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        self.child_went_on = (source.parent / "all_printed").exists()
        super().put(key, source)


@pytest.fixture
def waiting_storage(tmp_path: Path) -> WaitingStorage:
    return WaitingStorage(tmp_path / "storage")


def test_a_child_trains_on_while_its_files_are_stored(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, waiting_storage: WaitingStorage
) -> None:
    """Its pipe holds 64 KiB, so the child would stop if nobody read it."""
    job_id = submit()
    Supervisor(dataclasses.replace(make_context("saves_and_prints"), storage=waiting_storage), claim()).run()
    assert waiting_storage.child_went_on
    assert (view(job_id).state, view(job_id).message) == (JobState.SUCCEEDED, "All was printed.")


def test_a_child_would_wait_if_the_loop_stored_its_files(
    submit: Submit,
    claim: Claim,
    make_context: MakeContext,
    waiting_storage: WaitingStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The counterpart that shows that the test above can fail."""
    monkeypatch.setattr(Uploads, "add", lambda self, written: self._store(written))
    waiting_storage.timeout = 2.0
    submit()
    Supervisor(dataclasses.replace(make_context("saves_and_prints"), storage=waiting_storage), claim()).run()
    assert not waiting_storage.child_went_on


class SizesStorage(FolderStorage):
    """Remembers the size of each stored file, in order."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.sizes: list[int] = []

    def put(self, key: str, source: Path) -> None:
        threading.Event().wait(0.01)
        self.sizes.append(source.stat().st_size)
        super().put(key, source)


def test_files_are_stored_in_order_and_few_of_them_wait(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, database: Database, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(uploads, "MAX_PENDING", 3)
    pending: list[int] = []
    add = Uploads.add

    def add_and_count(self: Uploads, written: FileReport) -> None:
        add(self, written)
        pending.append(len(self.pending))

    monkeypatch.setattr(Uploads, "add", add_and_count)
    storage = SizesStorage(tmp_path / "storage")
    job_id = submit()
    Supervisor(dataclasses.replace(make_context("saves_many"), storage=storage), claim()).run()
    assert (view(job_id).state, view(job_id).message) == (JobState.SUCCEEDED, "All was saved.")
    assert storage.sizes == list(range(1, 42))
    # Whatever one read of the pipe returned is added before the supervisor waits.
    assert max(pending) < 41
    with database.read() as session:
        assert len(checkpoints.list_page(session, job_id, None, 100)) == 41


class BusyStorage(SizesStorage):
    """Is busy with the first file until every report of the child has arrived."""

    def __init__(self, root: Path, all_arrived: Callable[[], bool]) -> None:
        super().__init__(root)
        self._all_arrived = all_arrived

    def put(self, key: str, source: Path) -> None:
        until(self._all_arrived, SECONDS, "every report to arrive")
        super().put(key, source)


def test_only_the_newest_of_the_waiting_snapshots_is_stored(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[FileReport] = []
    add = Uploads.add

    def add_and_remember(self: Uploads, written: FileReport) -> None:
        add(self, written)
        added.append(written)

    monkeypatch.setattr(Uploads, "add", add_and_remember)
    storage = BusyStorage(tmp_path / "storage", lambda: len(added) == 4)
    job_id = submit()
    Supervisor(dataclasses.replace(make_context("snapshots_often"), storage=storage), claim()).run()
    assert view(job_id).state is JobState.SUCCEEDED
    assert storage.sizes[-2:] == [3, 4]
    assert 2 not in storage.sizes


class FullStorage(FolderStorage):
    """Turns out to be full when the child has saved everything."""

    def put(self, key: str, source: Path) -> None:
        until((source.parent / "41.weights.h5").exists, SECONDS, "the last file")
        raise OSError(28, "No space left on device")


def test_files_that_could_not_be_stored_are_moved_and_the_job_says_where(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, database: Database, tmp_path: Path
) -> None:
    job_id = submit()
    context = dataclasses.replace(make_context("saves_many"), storage=FullStorage(tmp_path / "storage"))
    for attempt in (1, 2):
        with database.write() as session:
            jobs.get(session, job_id).not_before = None
        Supervisor(context, claim()).run()
        unsaved = tmp_path / "unsaved" / job_id / str(attempt)
        assert (unsaved / "1.weights.h5").read_bytes() == b"w"
        assert (unsaved / "41.weights.h5").stat().st_size == 41
        reports = [json.loads(line) for line in (unsaved / "not_stored.jsonl").read_text().splitlines()]
        assert [report["names"] for report in reports][:3] == [["number 1"], ["number 2"], ["number 3"]]
    job = view(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 2)
    assert [path.name for path in unsaved.parent.iterdir()] == ["2"], "a full disk does not get fuller"
    with database.read() as session:
        requeued = [row for row in events.list_after(session, job_id, 0, 100) if row.kind is EventKind.REQUEUED]
    for attempt, event in enumerate(requeued, 1):
        assert "No space left on device" in event.data["failure"]
        assert f"not stored are in {tmp_path / 'unsaved' / job_id / str(attempt)} on " in event.message
    assert list(context.work_dir.iterdir()) == []
    Reaper(database, Notifier("redis://127.0.0.1:1/0"), tmp_path).run_once()
    assert unsaved.exists()


def test_files_that_another_attempt_has_stored_are_swept(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, database: Database, tmp_path: Path
) -> None:
    job_id = submit()
    context = make_context("saves_many")
    Supervisor(dataclasses.replace(context, storage=FullStorage(tmp_path / "full")), claim()).run()
    lost = context.unsaved_dir / "job_of_another_database"
    lost.mkdir()
    kept = {context.unsaved_dir / job_id, lost}
    sweep(database, context.unsaved_dir)
    assert {*context.unsaved_dir.iterdir()} == kept, "until the job has succeeded"
    with database.write() as session:
        jobs.get(session, job_id).not_before = None
    Supervisor(context, claim()).run()
    assert view(job_id).state is JobState.SUCCEEDED
    sweep(database, context.unsaved_dir)
    assert [*context.unsaved_dir.iterdir()] == [lost]
    week_ago = time.time() - KEPT_WITHOUT_JOB.total_seconds() - 1
    os.utime(lost, (week_ago, week_ago))
    sweep(database, context.unsaved_dir)
    assert [*context.unsaved_dir.iterdir()] == []


class StuckStorage(FolderStorage):
    """Stores the first file at once, and hangs with the second one until `may_continue` is set."""

    def __init__(self, root: Path, on_second: Callable[[], None]) -> None:
        super().__init__(root)
        self.may_continue = threading.Event()
        self._on_second = on_second
        self._count = 0

    def put(self, key: str, source: Path) -> None:
        self._count += 1
        if self._count > 1:
            self._on_second()
            self.may_continue.wait(SECONDS)
        super().put(key, source)


def test_a_stopping_worker_waits_for_a_stuck_storage_only_for_a_while(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, database: Database, tmp_path: Path
) -> None:
    job_id = submit()
    context = make_context("snapshots_often")
    storage = StuckStorage(tmp_path / "storage", context.stopping.set)
    timeouts = dataclasses.replace(context.timeouts, uploads=0.2)
    Supervisor(dataclasses.replace(context, storage=storage, timeouts=timeouts), claim()).run()
    job = view(job_id)
    storage.may_continue.set()
    assert (job.state, job.failed_attempts, job.attempt) == (JobState.QUEUED, 0, 1)
    unsaved = tmp_path / "unsaved" / job_id / "1"
    assert (unsaved / "4.weights.h5").stat().st_size == 4
    with database.read() as session:
        [requeued] = [row for row in events.list_after(session, job_id, 0, 100) if row.kind is EventKind.REQUEUED]
    assert requeued.message == (
        f"The worker was shut down before all files were stored; the files that were not stored are in {unsaved} on "
        f"{socket.gethostname()}; the job is queued again."
    )


class RemoteStorage(FolderStorage):
    """Is on another machine, so files arrive in chunks. It calls a function at the second one."""

    def __init__(self, root: Path, on_second_chunk: Callable[[], None]) -> None:
        super().__init__(root)
        self.chunks = 0
        self._on_second_chunk = on_second_chunk

    def local_path(self, key: str) -> Path | None:
        return None

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        for _ in range(1_000):
            self.chunks += 1
            if self.chunks == 2:
                self._on_second_chunk()
            yield b"chunk"


@pytest.mark.parametrize(
    ("action", "state", "message"),
    [
        ("shutdown", JobState.QUEUED, None),
        ("pause", JobState.PAUSED, None),
        ("cancel", JobState.CANCELLED, "The job was cancelled before training began."),
    ],
)
def test_fetching_ends_when_the_job_must_leave_the_worker(
    action: str, state: JobState, message: str | None, submit: Submit, claim: Claim, make_context: MakeContext,
    view: View, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job_id = submit()
    context = make_context("no_such_module_is_ever_started")

    def act() -> None:
        if action == "shutdown":
            context.stopping.set()
            return
        with database.write() as session:
            getattr(actions, action)(session, job_id)
        supervisor._renewer.renew()

    storage = RemoteStorage(tmp_path / "storage", act)
    claimed = dataclasses.replace(claim(), initial_weights_key="another/weights.h5")
    supervisor = Supervisor(dataclasses.replace(context, storage=storage), claimed)
    supervisor.run()
    job = view(job_id)
    assert (job.state, job.message, job.failed_attempts) == (state, message, 0)
    assert storage.chunks == 2
    assert list(context.work_dir.iterdir()) == []


@pytest.fixture
def in_background() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    threads: list[threading.Thread] = []

    def start(run: Callable[[], None]) -> threading.Thread:
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(SECONDS)


def test_the_server_of_a_bucket_dies_during_a_training(
    submit: Submit, claim: Claim, make_context: MakeContext, view: View, database: Database, tmp_path: Path,
    s3: S3Server, bucket: Bucket, in_background: Callable[[Callable[[], None]], threading.Thread],
) -> None:  # fmt: skip
    storage = BucketStorage(bucket, tmp_path / "incoming", timedelta(seconds=0.5))
    context = dataclasses.replace(make_context(TRAINER), storage=storage)
    job_id = submit()
    first = in_background(Supervisor(context, claim()).run)
    until(
        lambda: view(job_id).best_epoch is not None and _snapshots(storage, job_id),
        SECONDS,
        "a best epoch and a snapshot",
    )
    s3.stop()
    first.join(SECONDS)
    job = view(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)
    unsaved = tmp_path / "unsaved" / job_id / "1"
    reports = [json.loads(line) for line in (unsaved / "not_stored.jsonl").read_text().splitlines()]
    assert reports
    for report in reports:
        assert (unsaved / report["file"]).stat().st_size == report["size"]
        if report["type"] == "checkpoint_written":
            h5py.File(unsaved / report["file"]).close()
    assert not (unsaved / "fetched").exists()

    trained = job.epoch
    with database.write() as session:
        jobs.get(session, job_id).not_before = None
    with pytest.raises(StorageError):
        Supervisor(context, claim()).run()
    job = view(job_id)
    assert (job.state, job.failed_attempts, job.outages, job.epoch) == (JobState.QUEUED, 0, 2, trained), (
        "it is queued, and did not start over"
    )

    s3.start()
    with database.write() as session:
        jobs.get(session, job_id).not_before = None
    second = in_background(Supervisor(context, claim()).run)
    until(lambda: view(job_id).epoch > trained, SECONDS, "progress")
    with database.write() as session:
        actions.cancel(session, job_id)
    second.join(SECONDS)
    assert view(job_id).state is JobState.CANCELLED
    assert list(context.work_dir.iterdir()) == []
    with database.read() as session:
        kinds = [row.kind for row in events.list_after(session, job_id, 0, 100_000)]
        files = {row.name: row for row in checkpoints.list_page(session, job_id, None, 100)}
    assert EventKind.RESUMED in kinds
    assert storage.size(files["last"].storage_key) == files["last"].size


def _snapshots(storage: BucketStorage, job_id: str) -> list[str]:
    return [key for key in storage.old_keys(timedelta(-1)) if key.startswith(f"snapshots/{job_id}/")]
