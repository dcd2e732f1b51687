"""Whatever the store does, a training does not wait for it, and nothing is lost of what was trained."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import h5py
import pytest

from fitqueue.states import EventKind, JobState, Reason
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
from workers.supervisor import uploads
from workers.supervisor.fork_server import TRAINER
from workers.supervisor.reaper import Reaper
from workers.supervisor.supervisor import Supervisor, WorkerContext
from workers.supervisor.uploads import Uploads, Written

Claim = Callable[[], ClaimedJob]
Pointer = Callable[..., WorkerContext]
Submit = Callable[..., str]
View = Callable[[str], Job]

SECONDS = 120.0


class WaitingStore(FolderStorage):
    """Stores nothing before the child has left its mark, or too much time has gone."""

    timeouts = SECONDS
    child_went_on = False

    def put(self, key: str, source: Path) -> None:
        deadline = time.monotonic() + self.timeouts
        while not (source.parent / "mark").exists() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        self.child_went_on = (source.parent / "mark").exists()
        super().put(key, source)


@pytest.fixture
def waiting_store(tmp_path: Path) -> WaitingStore:
    return WaitingStore(tmp_path / "store")


def test_a_child_goes_on_while_its_files_are_stored(
    submit: Submit, claim: Claim, place: Pointer, view: View, waiting_store: WaitingStore
) -> None:
    """Its pipe holds 64 KiB; whoever does not read it stops the child."""
    job_id = submit()
    Supervisor(dataclasses.replace(place("saves_and_prints"), store=waiting_store), claim()).run()
    assert waiting_store.child_went_on
    assert (view(job_id).state, view(job_id).message) == (JobState.SUCCEEDED, "All was printed.")


def test_it_does_not_where_the_loop_stores_them(
    submit: Submit, claim: Claim, place: Pointer, waiting_store: WaitingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin that shows that the test can fail."""
    monkeypatch.setattr(Uploads, "add", lambda self, written: self._store(written))
    waiting_store.timeouts = 2.0
    submit()
    Supervisor(dataclasses.replace(place("saves_and_prints"), store=waiting_store), claim()).run()
    assert not waiting_store.child_went_on


class CountingStore(FolderStorage):
    """Notes how large each file was, in the order of their coming."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.sizes: list[int] = []

    def put(self, key: str, source: Path) -> None:
        threading.Event().wait(0.01)
        self.sizes.append(source.stat().st_size)
        super().put(key, source)


def test_files_are_stored_in_their_order_and_only_so_many_wait(
    submit: Submit, claim: Claim, place: Pointer, view: View, database: Database, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(uploads, "MAX_PENDING", 3)
    waiting: list[int] = []
    add = Uploads.add

    def noting(self: Uploads, written: Written) -> None:
        add(self, written)
        waiting.append(len(self.pending))

    monkeypatch.setattr(Uploads, "add", noting)
    store = CountingStore(tmp_path / "store")
    job_id = submit()
    Supervisor(dataclasses.replace(place("saves_many"), store=store), claim()).run()
    assert (view(job_id).state, view(job_id).message) == (JobState.SUCCEEDED, "All was saved.")
    assert store.sizes == list(range(1, 42))
    # What one read of the pipe has brought is taken before anybody waits.
    assert max(waiting) < 41
    with database.read() as session:
        assert len(checkpoints.list_all(session, job_id)) == 41


class HeldStore(CountingStore):
    """As one that is busy with the first file until the child has said everything, and everything was heard."""

    def __init__(self, root: Path, event: Callable[[], bool]) -> None:
        super().__init__(root)
        self._heard = event

    def put(self, key: str, source: Path) -> None:
        until(self._heard, SECONDS, "everything is heard")
        super().put(key, source)


def test_of_the_snapshots_that_wait_the_newest_is_stored(
    submit: Submit, claim: Claim, place: Pointer, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[Written] = []
    add = Uploads.add

    def noting(self: Uploads, written: Written) -> None:
        add(self, written)
        added.append(written)

    monkeypatch.setattr(Uploads, "add", noting)
    store = HeldStore(tmp_path / "store", lambda: len(added) == 4)
    job_id = submit()
    Supervisor(dataclasses.replace(place("snapshots_often"), store=store), claim()).run()
    assert view(job_id).state is JobState.SUCCEEDED
    assert store.sizes[-2:] == [3, 4]
    assert 2 not in store.sizes


class FullStore(FolderStorage):
    """It is found to be full when the child has saved everything."""

    def put(self, key: str, source: Path) -> None:
        until((source.parent / "41.weights.h5").exists, SECONDS, "the last file")
        raise OSError(28, "No space left on device")


def test_what_could_not_be_stored_is_kept_and_the_job_says_where(
    submit: Submit, claim: Claim, place: Pointer, view: View, database: Database, tmp_path: Path
) -> None:
    job_id = submit()
    here = dataclasses.replace(place("saves_many"), store=FullStore(tmp_path / "store"))
    for attempt in (1, 2):
        with database.write() as session:
            jobs.get(session, job_id).not_before = None
        Supervisor(here, claim()).run()
        kept = tmp_path / "kept" / job_id / str(attempt)
        assert (kept / "1.weights.h5").read_bytes() == b"w"
        assert (kept / "41.weights.h5").stat().st_size == 41
        announced = [json.loads(line) for line in (kept / "not_stored.jsonl").read_text().splitlines()]
        assert [each["names"] for each in announced][:3] == [["number 1"], ["number 2"], ["number 3"]]
    job = view(job_id)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.STORAGE_FAILED)
    assert job.message is not None
    assert "No space left on device" in job.message
    assert f"what was not stored is kept in {kept}" in job.message
    with database.read() as session:
        [told] = [each for each in events.list_after(session, job_id, 0, 100) if each.kind is EventKind.REQUEUED]
    assert str(tmp_path / "kept" / job_id / "1") in told.message
    assert list(here.work_dir.iterdir()) == []
    Reaper(database, Notifier("redis://127.0.0.1:1/0"), tmp_path).run_once()
    assert kept.exists()


class StuckStore(FolderStorage):
    """Stores the first file at once and none after it, until it is told to, or too much time has gone."""

    def __init__(self, root: Path, on_second: Callable[[], None]) -> None:
        super().__init__(root)
        self.may_go_on = threading.Event()
        self._on_second = on_second
        self._count = 0

    def put(self, key: str, source: Path) -> None:
        self._count += 1
        if self._count > 1:
            self._on_second()
            self.may_go_on.wait(SECONDS)
        super().put(key, source)


def test_a_worker_that_stops_waits_for_a_stuck_store_only_so_long(
    submit: Submit, claim: Claim, place: Pointer, view: View, database: Database, tmp_path: Path
) -> None:
    job_id = submit()
    here = place("snapshots_often")
    store = StuckStore(tmp_path / "store", here.stopping.set)
    here = dataclasses.replace(here, store=store, timeouts=dataclasses.replace(here.timeouts, storing=0.2))
    Supervisor(here, claim()).run()
    job = view(job_id)
    store.may_go_on.set()
    assert (job.state, job.failed_attempts, job.attempt) == (JobState.QUEUED, 0, 1)
    kept = tmp_path / "kept" / job_id / "1"
    assert (kept / "4.weights.h5").stat().st_size == 4
    with database.read() as session:
        [told] = [each for each in events.list_after(session, job_id, 0, 100) if each.kind is EventKind.REQUEUED]
    assert told.message.startswith("The worker was shut down before all was stored; what was not stored is kept in ")
    assert str(kept) in told.message


class FarStore(FolderStorage):
    """As one on another machine: files come in pieces. Something happens at the second of a data set."""

    def __init__(self, root: Path, happens: Callable[[], None]) -> None:
        super().__init__(root)
        self.pieces = 0
        self._happens = happens

    def local_path(self, key: str) -> Path | None:
        return None

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        for _ in range(1_000):
            self.pieces += 1
            if self.pieces == 2:
                self._happens()
            yield b"piece"


@pytest.mark.parametrize(
    ("wish", "state", "message"),
    [
        ("stop", JobState.QUEUED, None),
        ("pause", JobState.PAUSED, None),
        ("cancel", JobState.CANCELLED, "The job was cancelled before training began."),
    ],
)
def test_what_nobody_wants_any_more_is_not_fetched_to_its_end(
    wish: str, state: JobState, message: str | None, submit: Submit, claim: Claim, place: Pointer, view: View,
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job_id = submit()
    here = place("no_such_module_is_ever_started")

    def happens() -> None:
        if wish == "stop":
            here.stopping.set()
            return
        with database.write() as session:
            getattr(actions, wish)(session, job_id)
        supervision._keeper.renew()

    store = FarStore(tmp_path / "store", happens)
    claimed = dataclasses.replace(claim(), initial_weights_key="another/weights.h5")
    supervision = Supervisor(dataclasses.replace(here, store=store), claimed)
    supervision.run()
    job = view(job_id)
    assert (job.state, job.message, job.failed_attempts) == (state, message, 0)
    assert store.pieces == 2
    assert list(here.work_dir.iterdir()) == []


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


def test_a_bucket_whose_server_goes_in_the_middle_of_a_training(
    submit: Submit, claim: Claim, place: Pointer, view: View, database: Database, tmp_path: Path,
    s3: S3Server, bucket: Bucket, in_background: Callable[[Callable[[], None]], threading.Thread],
) -> None:  # fmt: skip
    store = BucketStorage(bucket, tmp_path / "incoming", timedelta(seconds=0.5))
    here = dataclasses.replace(place(TRAINER), store=store)
    job_id = submit()
    first = in_background(Supervisor(here, claim()).run)
    until(
        lambda: view(job_id).best_epoch is not None and _snapshots(store, job_id),
        SECONDS,
        "a best epoch and a snapshot",
    )
    s3.stop()
    first.join(SECONDS)
    job = view(job_id)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)
    kept = tmp_path / "kept" / job_id / "1"
    announced = [json.loads(line) for line in (kept / "not_stored.jsonl").read_text().splitlines()]
    assert announced
    for written in announced:
        assert (kept / written["file"]).stat().st_size == written["size"]
        if written["say"] == "checkpoint":
            h5py.File(kept / written["file"]).close()
    assert not (kept / "fetched").exists()

    trained = job.epoch
    with database.write() as session:
        jobs.get(session, job_id).not_before = None
    with pytest.raises(StorageError):
        Supervisor(here, claim()).run()
    job = view(job_id)
    assert (job.state, job.failed_attempts, job.epoch) == (JobState.QUEUED, 1, trained), "it waits, and begins not anew"

    s3.start()
    second = in_background(Supervisor(here, claim()).run)
    until(lambda: view(job_id).epoch > trained, SECONDS, "progress")
    with database.write() as session:
        actions.cancel(session, job_id)
    second.join(SECONDS)
    assert view(job_id).state is JobState.CANCELLED
    assert list(here.work_dir.iterdir()) == []
    with database.read() as session:
        kinds = [each.kind for each in events.list_after(session, job_id, 0, 100_000)]
        files = {row.name: row for row in checkpoints.list_all(session, job_id)}
    assert EventKind.RESUMED in kinds
    assert store.size(files["last"].storage_key) == files["last"].size


def _snapshots(store: BucketStorage, job_id: str) -> list[str]:
    return [key for key in store.old_keys(timedelta(-1)) if key.startswith(f"snapshots/{job_id}/")]
