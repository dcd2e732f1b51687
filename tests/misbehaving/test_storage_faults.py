"""A storage that is gone, full, broken, damaged or hanging: whatever happens to it, no job ends other than without it.

Each job is trained by a real child, and compared with an undisturbed one to the last bit.
"""

import dataclasses
import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fitqueue.states import EventKind, JobState, Reason
from service.dataset_cache import DatasetCache
from service.db import Database
from service.models import Job
from service.storage import FolderStorage, StorageError, checkpoint_key
from service.storage.identity import MARKER
from service.storage_marking import identity_reader, mark_storage
from service.store import actions, events, files, jobs, queue_position, snapshots, workers
from service.store.leases import ClaimedJob
from tests.results import result
from tests.waiting import until
from workers.shared.protocol import StopCause
from workers.supervisor.context import WorkerContext
from workers.supervisor.fork_server import TRAINER, ForkServer
from workers.supervisor.supervisor import Supervisor

SECONDS = 300.0

pytestmark = pytest.mark.timeout(4 * SECONDS)

JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "Flatten", "config": {}},
                {"class_name": "Dropout", "config": {"rate": 0.2}},
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
            ]
        },
    },
    "fit": {"epochs": 4, "batch_size": 480},
    "callbacks": [
        {
            "class_name": "ModelCheckpoint",
            "config": {"filepath": "e{epoch}.weights.h5", "monitor": "loss", "save_weights_only": True},
        },
    ],
    "seed": 5,
    "max_attempts": 2,
}
"""Several files in each epoch, and an attempt that may fail, which nothing here may use up but a lost process."""


class ScriptedStorage(FolderStorage):
    """A storage to which a test does something before each file is stored or read, or after it was read."""

    before_put: Callable[[str], None] = staticmethod(lambda key: None)
    before_open: Callable[[str], None] = staticmethod(lambda key: None)
    after_read: Callable[[str], None] = staticmethod(lambda key: None)

    def put(self, key: str, source: Path) -> None:
        self.before_put(key)
        super().put(key, source)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.before_open(key)
        return self._chunks(key, super().open(key, start, length))

    def _chunks(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        self.after_read(key)


class Disk:
    """The disk on which the storage is. Without it there is an empty folder, as where a disk was mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._away = root.with_name("disk")

    def unmount(self) -> None:
        if not self._away.exists():
            self.root.rename(self._away)
            self.root.mkdir()

    def mount(self) -> None:
        self.root.rmdir()  # fails if anything was written there
        self._away.rename(self.root)


@pytest.fixture
def storage(database: Database, tmp_path: Path) -> ScriptedStorage:
    mark_storage(database, FolderStorage(tmp_path / "storage"))
    return ScriptedStorage(tmp_path / "storage", identity_reader(database))


@pytest.fixture
def disk(storage: ScriptedStorage, tmp_path: Path) -> Disk:
    return Disk(tmp_path / "storage")


@pytest.fixture
def context(make_context: Callable[..., WorkerContext], storage: ScriptedStorage, tmp_path: Path) -> WorkerContext:
    """A real worker that takes a snapshot after each batch and has no patience with its storage."""
    context = make_context(TRAINER)
    return dataclasses.replace(
        context,
        storage=storage,
        datasets=DatasetCache(storage, tmp_path / "datasets", 0),
        snapshot_seconds=0.0,
    )


class Jobs:
    """Trains jobs in one attempt after the other."""

    def __init__(
        self,
        database: Database,
        submit: Callable[..., str],
        claim: Callable[[], ClaimedJob],
        context: WorkerContext,
    ) -> None:
        self._database = database
        self._submit = submit
        self._claim = claim
        self.context = context

    def submit(self, **fields: Any) -> str:
        return self._submit(**JOB | fields)

    def view(self, job_id: str) -> Job:
        with self._database.read() as session:
            return jobs.get(session, job_id)

    def attempt(self, job_id: str, **changes: Any) -> Job:
        """Train the job in one attempt, without waiting for its time."""
        with self._database.write() as session:
            jobs.get(session, job_id).not_before = None
        context = dataclasses.replace(self.context, **changes)
        with suppress(OSError):
            Supervisor(context, self._claim()).run()
        return self.view(job_id)

    def finish(self, job_id: str) -> Job:
        """Train the job until it ends."""
        while not self.view(job_id).state.is_final:
            self.attempt(job_id)
        return self.view(job_id)

    def events(self, job_id: str, kind: EventKind) -> list[Any]:
        with self._database.read() as session:
            return [row for row in events.list_after(session, job_id, 0, 100_000) if row.kind is kind]


@pytest.fixture
def trainings(
    database: Database, submit: Callable[..., str], claim: Callable[[], ClaimedJob], context: WorkerContext
) -> Jobs:
    return Jobs(database, submit, claim, context)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """Filled by the first test that needs it."""
    return {}


@pytest.fixture
def expected(trainings: Jobs, database: Database, undisturbed: dict[str, Any]) -> dict[str, Any]:
    """What an undisturbed job leaves in the database."""
    if not undisturbed:
        job_id = trainings.submit()
        assert trainings.finish(job_id).state is JobState.SUCCEEDED
        undisturbed |= result(database, job_id)
    return undisturbed


def check_exact(trainings: Jobs, database: Database, storage: FolderStorage, job_id: str, expected: Any) -> None:
    """Check that the job ended like the undisturbed one, and that each of its files is there."""
    assert result(database, job_id) == expected
    storage.verify()
    keys = [path.relative_to(storage._root).as_posix() for path in storage._root.rglob(f"*/{job_id}/*")]
    with database.read() as session:
        assert files.unreferenced(session, keys) == []
    job = trainings.view(job_id)
    assert (job.outages, job.reason) == (0, Reason.COMPLETED)


def after_snapshots(count: int, action: Callable[[], None]) -> Callable[[str], None]:
    """Return a function that acts before the next file, once so many snapshots were stored."""
    stored: list[str] = []

    def before_put(key: str) -> None:
        if len(stored) >= count:
            action()
        if key.startswith("snapshots/"):
            stored.append(key)

    return before_put


# --- A disk that is gone ----------------------------------------------------------------------------------------------


def test_a_disk_that_goes_during_a_training_and_comes_back(
    trainings: Jobs, storage: ScriptedStorage, disk: Disk, database: Database, expected: Any
) -> None:
    job_id = trainings.submit()
    storage.before_put = after_snapshots(1, disk.unmount)
    job = trainings.attempt(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)
    trained = job.epoch
    job = trainings.attempt(job_id)
    assert (job.state, job.failed_attempts, job.outages, job.epoch) == (JobState.QUEUED, 0, 2, trained)
    for event in trainings.events(job_id, EventKind.REQUEUED):
        assert "its disk is not mounted" in event.data["failure"]
    assert list(disk.root.iterdir()) == []
    disk.mount()
    storage.before_put = lambda key: None
    assert trainings.finish(job_id).failed_attempts == 0
    assert len(trainings.events(job_id, EventKind.RESUMED)) == 1
    check_exact(trainings, database, storage, job_id, expected)


def test_a_disk_that_goes_before_the_last_checkpoint_is_read_back(
    trainings: Jobs, storage: ScriptedStorage, disk: Disk, database: Database, expected: Any
) -> None:
    """The job does not succeed with checkpoints that are not there."""
    job_id = trainings.submit()
    storage.before_open = lambda key: disk.unmount() if key.startswith("checkpoints/") else None
    job = trainings.attempt(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)
    disk.mount()
    storage.before_open = lambda key: None
    trainings.finish(job_id)
    assert result(database, job_id) == expected


# --- A disk that is full, or broken -----------------------------------------------------------------------------------


def failing(number: int, times: list[int] | None = None) -> Callable[[], None]:
    """Return a function that fails with this error; with `times`, only as often as that says."""

    def fail() -> None:
        if times is not None:
            times[0] -= 1
        if times is None or times[0] >= 0:
            raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_can_be_written_again_soon(
    number: int, trainings: Jobs, storage: ScriptedStorage, database: Database, expected: Any
) -> None:
    trainings.context = dataclasses.replace(
        trainings.context, timeouts=dataclasses.replace(trainings.context.timeouts, outage=SECONDS)
    )
    job_id = trainings.submit()
    storage.before_put = after_snapshots(2, failing(number, [2]))
    job = trainings.attempt(job_id)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
    check_exact(trainings, database, storage, job_id, expected)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ESTALE], ids=errno.errorcode.get)
def test_a_disk_that_cannot_be_written_for_long(
    number: int, trainings: Jobs, storage: ScriptedStorage, database: Database, expected: Any
) -> None:
    job_id = trainings.submit()
    # After the first one, because a slow storage leaves out all snapshots but the newest.
    storage.before_put = after_snapshots(1, failing(number))
    for outages in (1, 2):
        job = trainings.attempt(job_id)
        assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, outages)
        assert job.not_before is not None
    with database.write() as session:
        workers.register(session, "wk_1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    with database.read() as session:
        waiting_for = queue_position.read(session, [job], 30.0)[job_id].waiting_for
    assert waiting_for.startswith("its next attempt at ")
    assert os.strerror(number) in waiting_for
    storage.before_put = lambda key: None
    trainings.finish(job_id)
    check_exact(trainings, database, storage, job_id, expected)


def test_a_job_that_waits_for_room_can_be_paused_and_cancelled(
    trainings: Jobs, storage: ScriptedStorage, database: Database
) -> None:
    job_id = trainings.submit()
    storage.before_put = after_snapshots(0, failing(errno.ENOSPC))
    trainings.attempt(job_id)
    with database.write() as session:
        assert actions.pause(session, job_id).state is JobState.PAUSED
        assert actions.resume(session, job_id).not_before is None
        assert actions.cancel(session, job_id).state is JobState.CANCELLED


def test_a_job_that_ended_because_of_the_storage_can_be_extended(
    trainings: Jobs, storage: ScriptedStorage, database: Database
) -> None:
    """A permission that somebody took away is not mended by time."""
    job_id = trainings.submit(fit={"epochs": 100_000, "batch_size": 256})
    storage.before_put = after_snapshots(4, failing(errno.EACCES))
    job = trainings.finish(job_id)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.STORAGE_FAILED)
    storage.before_put = lambda key: None
    trained = len(result(database, job_id)["epochs"])
    with database.write() as session:
        actions.extend(session, job_id, 2)
    job = trainings.finish(job_id)
    assert (job.state, job.epoch) == (JobState.SUCCEEDED, trained + 2)


# --- Snapshots that cannot be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_damaged_snapshots_do_not_win_over_good_ones(
    damage: Callable[[Path], None], trainings: Jobs, storage: ScriptedStorage, database: Database, expected: Any
) -> None:
    """Two attempts that lose their process after a few batches make progress, although the first one got farther."""
    job_id = trainings.submit()
    leave_after(trainings, storage, job_id, 5)
    with database.read() as session:
        damaged = [(row.storage_key, row.position) for row in snapshots.newest_first(session, job_id)]
    assert len(damaged) == 2
    for key, _ in damaged:
        damage(storage.local_path(key))
    for count in (2, 2):
        leave_after(trainings, storage, job_id, count)
    discarded = trainings.events(job_id, EventKind.SNAPSHOT_DISCARDED)
    assert [event.data for event in discarded] == [
        {"epoch": position.epoch, "step": position.step, "attempt": 1} for _, position in damaged
    ]
    assert all("cannot be used" in event.message for event in discarded)
    assert not any(storage.local_path(key).exists() for key, _ in damaged)
    trainings.finish(job_id)
    assert [event.attempt for event in trainings.events(job_id, EventKind.RESUMED)] == [3, 4]
    check_exact(trainings, database, storage, job_id, expected)


def leave_after(trainings: Jobs, storage: ScriptedStorage, job_id: str, count: int) -> None:
    """Let the job leave its worker when so many snapshots were stored in this attempt."""
    stopping = threading.Event()
    storage.before_put = after_snapshots(count, stopping.set)
    job = trainings.attempt(job_id, stopping=stopping, fork_server=ForkServer("trains_slowly"))
    storage.before_put = lambda key: None
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 0)


def after_read_of_snapshot(action: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that acts once a worker has read a snapshot back. Its child has not opened the file yet."""
    return lambda key: action(key) if key.startswith("snapshots/") else None


@pytest.mark.parametrize(("left", "failed_attempts", "outages"), [(0, 0, 1), (-1, 1, 0)], ids=["emptied", "truncated"])
def test_a_snapshot_that_is_damaged_after_it_was_read_back(
    left: int, failed_attempts: int, outages: int,
    trainings: Jobs, storage: ScriptedStorage, database: Database, expected: Any,
) -> None:  # fmt: skip
    """The next attempt resumes from the one before."""
    job_id = trainings.submit(max_attempts=3)
    leave_after(trainings, storage, job_id, 3)

    def damage(key: str) -> None:
        path = storage.local_path(key)
        path.write_bytes(path.read_bytes()[:left])

    storage.after_read = after_read_of_snapshot(damage)
    job = trainings.attempt(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, failed_attempts, outages)
    storage.after_read = lambda key: None
    trainings.finish(job_id)
    assert len(trainings.events(job_id, EventKind.SNAPSHOT_DISCARDED)) == 1
    assert [event.attempt for event in trainings.events(job_id, EventKind.RESUMED)] == [3]
    check_exact(trainings, database, storage, job_id, expected)


def test_a_disk_that_goes_after_a_snapshot_was_read_back(
    trainings: Jobs, storage: ScriptedStorage, disk: Disk, database: Database, expected: Any
) -> None:
    """This says nothing about the snapshot: the job waits, and resumes from it."""
    job_id = trainings.submit()
    leave_after(trainings, storage, job_id, 3)
    storage.after_read = after_read_of_snapshot(lambda _: disk.unmount())
    job = trainings.attempt(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)
    disk.mount()
    storage.after_read = lambda key: None
    trainings.finish(job_id)
    assert trainings.events(job_id, EventKind.SNAPSHOT_DISCARDED) == []
    assert len(trainings.events(job_id, EventKind.RESUMED)) == 1
    check_exact(trainings, database, storage, job_id, expected)


# --- Other files ------------------------------------------------------------------------------------------------------


def test_initial_weights_that_arrive_damaged(
    trainings: Jobs, storage: ScriptedStorage, claim: Callable[[], ClaimedJob]
) -> None:
    """They are those of another job, and HDF5 would not notice a wrong byte."""
    job_id = trainings.submit()
    key = checkpoint_key("job_1", 1, "weights.h5")
    path = storage.temporary_folder() / "weights"
    path.write_bytes(b"half a")
    storage.put(key, path)
    sha256 = hashlib.sha256(b"half a file").hexdigest()
    claimed = dataclasses.replace(claim(), initial_weights_key=key, initial_weights_sha256=sha256)
    with pytest.raises(OSError, match="arrived with sha256"):
        Supervisor(trainings.context, claimed).run()
    job = trainings.view(job_id)
    assert (job.state, job.failed_attempts) == (JobState.QUEUED, 1)


# --- Files that hang --------------------------------------------------------------------------------------------------


class HangingFile:
    """A file in the storage that hangs in `open`, like one of a dead network file system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = path.with_name(f"{path.name}.content")
        if path.exists():
            path.rename(self._content)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)

    def mend(self) -> None:
        """Let those who wait go on, and put the file back."""
        with suppress(OSError):  # nobody waits
            os.close(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK))
        self._path.unlink()
        if self._content.exists():
            self._content.rename(self._path)


@pytest.fixture
def job_with_hanging_snapshot(
    trainings: Jobs, storage: ScriptedStorage, database: Database
) -> Iterator[tuple[str, HangingFile]]:
    job_id = trainings.submit()
    leave_after(trainings, storage, job_id, 3)
    with database.read() as session:
        newest = snapshots.newest_first(session, job_id)[0]
    file = HangingFile(storage.local_path(newest.storage_key))
    yield job_id, file
    with suppress(FileNotFoundError):
        file.mend()


@pytest.mark.parametrize("cause", ["shutdown", "pause", "cancel"])
def test_a_snapshot_that_hangs_keeps_no_job_on_its_worker(
    cause: StopCause, job_with_hanging_snapshot: tuple[str, HangingFile], trainings: Jobs, database: Database
) -> None:
    job_id, _ = job_with_hanging_snapshot
    stopping = threading.Event()
    thread = threading.Thread(target=trainings.attempt, args=(job_id,), kwargs={"stopping": stopping})
    thread.start()
    until(lambda: trainings.view(job_id).state is JobState.RUNNING, SECONDS, "the next attempt")
    if cause == "shutdown":
        stopping.set()
    else:
        with database.write() as session:
            {"pause": actions.pause, "cancel": actions.cancel}[cause](session, job_id)
    thread.join(SECONDS)
    assert not thread.is_alive()
    state = {"shutdown": JobState.QUEUED, "pause": JobState.PAUSED, "cancel": JobState.CANCELLED}[cause]
    job = trainings.view(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (state, 0, 0)


def test_a_snapshot_that_hangs_has_a_deadline(
    job_with_hanging_snapshot: tuple[str, HangingFile], trainings: Jobs, storage: ScriptedStorage, database: Database,
    expected: Any,
) -> None:  # fmt: skip
    job_id, file = job_with_hanging_snapshot
    timeouts = dataclasses.replace(trainings.context.timeouts, storage=0.6)
    job = trainings.attempt(job_id, timeouts=timeouts)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)
    [event] = trainings.events(job_id, EventKind.REQUEUED)[-1:]
    assert "The storage did not answer for 0.6 s" in event.data["failure"]
    file.mend()
    trainings.finish(job_id)
    assert trainings.events(job_id, EventKind.SNAPSHOT_DISCARDED) == []
    check_exact(trainings, database, storage, job_id, expected)


def test_a_data_set_that_hangs_has_a_deadline(
    trainings: Jobs, storage: ScriptedStorage, claim: Callable[[], ClaimedJob]
) -> None:
    job_id = trainings.submit()
    file = HangingFile(storage.local_path("datasets/ds_1.npz"))
    claimed = dataclasses.replace(claim(), dataset_key="datasets/ds_1.npz", dataset_sha256="0" * 64)
    timeouts = dataclasses.replace(trainings.context.timeouts, storage=0.6)
    with pytest.raises(StorageError, match="did not answer"):
        Supervisor(dataclasses.replace(trainings.context, timeouts=timeouts), claimed).run()
    file.mend()
    job = trainings.view(job_id)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)


@pytest.mark.parametrize("operation", ["before_put", "before_open"])
def test_a_checkpoint_that_hangs_has_a_deadline(
    operation: str, trainings: Jobs, storage: ScriptedStorage, database: Database, expected: Any
) -> None:
    """While it is stored, or while it is read back at the end."""
    may_continue = threading.Event()
    job_id = trainings.submit()
    setattr(storage, operation, lambda key: may_continue.wait(SECONDS) if key.startswith("checkpoints/") else None)
    job = trainings.attempt(job_id, timeouts=dataclasses.replace(trainings.context.timeouts, storage=1.0))
    setattr(storage, operation, lambda key: None)
    assert (job.state, job.failed_attempts, job.outages) == (JobState.QUEUED, 0, 1)
    may_continue.set()
    trainings.finish(job_id)
    assert result(database, job_id) == expected


@pytest.mark.parametrize("cause", ["shutdown", "cancel"])
def test_a_last_checkpoint_that_hangs_keeps_no_job_on_its_worker(
    cause: StopCause, trainings: Jobs, storage: ScriptedStorage, database: Database
) -> None:
    may_continue, is_read_back, stopping = threading.Event(), threading.Event(), threading.Event()

    def hang(key: str) -> None:
        if key.startswith("checkpoints/"):
            is_read_back.set()
            may_continue.wait(SECONDS)

    storage.before_open = hang
    job_id = trainings.submit()
    timeouts = dataclasses.replace(trainings.context.timeouts, uploads=0.5)
    arguments = {"stopping": stopping, "timeouts": timeouts}
    thread = threading.Thread(target=trainings.attempt, args=(job_id,), kwargs=arguments)
    thread.start()
    assert is_read_back.wait(SECONDS)
    if cause == "shutdown":
        stopping.set()
    else:
        with database.write() as session:
            actions.cancel(session, job_id)
    thread.join(SECONDS)
    assert not thread.is_alive()
    may_continue.set()
    job = trainings.view(job_id)
    state = JobState.QUEUED if cause == "shutdown" else JobState.CANCELLED
    assert (job.state, job.failed_attempts) == (state, 0)


def test_the_marker_is_no_file_of_a_job(storage: ScriptedStorage) -> None:
    assert (storage._root / MARKER).read_text().startswith("st_")
