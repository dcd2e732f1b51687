"""The twins of tests: with a guard taken away something must go wrong, or the test would prove nothing."""

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitqueue.states import JobState
from service.db import Database
from service.models import Job
from service.queue import Notifier
from service.storage import FolderStorage
from service.store import jobs, leases
from tests.crash_points.conftest import Pointer, told
from tests.crash_points.plan import Plan
from tests.crash_points.test_crash_points import check_files, crashing, lose_the_answer_to_finish
from tests.results import result
from workers.supervisor.periodic import PeriodicTask
from workers.supervisor.reaper import Reaper
from workers.supervisor.slots import SlotPool

Submit = Callable[..., str]
Train = Callable[..., tuple[Job, list[int]]]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.mark.parametrize("without", ["nothing", "stop_flag"])
def test_the_saved_stop_flag(
    without: str, submit: Submit, train: Train, peaceful: dict[str, Any], database: Database
) -> None:
    """A callback has ended the training, and the worker dies before it can say so."""
    plan = Plan("finish", "before", without=without)
    job_id = submit(plan)
    train(job_id, crashing(plan))
    trained = len(result(database, job_id)["epochs"]) - len(peaceful["epochs"])
    assert (trained > 0) == (without == "stop_flag"), told(database, job_id)


@pytest.mark.parametrize("is_idempotent", [True, False])
def test_the_idempotent_finish(
    is_idempotent: bool, submit: Submit, train: Train, database: Database, tmp_path: Path,
) -> None:  # fmt: skip
    """A worker that takes its own end for somebody else's leaves behind what it should have cleaned up."""

    def before(attempt: int, database: Database) -> None:
        if not is_idempotent:
            leases._ended_by = lambda session, lease: False
        lose_the_answer_to_finish(database)

    job_id = submit()
    job, ends = train(job_id, before)
    assert (job.state, ends) == (JobState.SUCCEEDED, [0])
    if is_idempotent:
        check_files(database, job_id, tmp_path)
    else:
        with pytest.raises(AssertionError):
            check_files(database, job_id, tmp_path)


def put_in_place(store: FolderStorage, key: str, source: Path) -> None:
    """As one would write it first."""
    target = store.local_path(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


@pytest.mark.parametrize("put", [FolderStorage.put, put_in_place])
def test_written_beside_and_renamed(put: Callable[[FolderStorage, str, Path], None], tmp_path: Path) -> None:
    """The process dies in the middle of a file that it copies from another disk."""
    store, source = FolderStorage(tmp_path / "store"), tmp_path / "source"
    source.write_bytes(b"x" * 1000)
    pid = os.fork()
    if pid == 0:
        shutil.copyfile = half_copy_then_die
        Path.replace = not_on_this_disk(Path.replace)  # type: ignore[method-assign]
        put(store, "checkpoints/job_1/1-a.keras", source)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    is_there = store.local_path("checkpoints/job_1/1-a.keras").exists()
    assert is_there == (put is put_in_place)
    assert source.stat().st_size == 1000


def half_copy_then_die(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes()[:500])
    os.kill(os.getpid(), signal.SIGKILL)


def not_on_this_disk(replace: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
    def replacing(path: Path, target: Path) -> Path:
        if path.name == "source":
            raise OSError(18, "Invalid cross-device link")
        return replace(path, target)

    return replacing


@pytest.mark.parametrize("polls", [True, False])
def test_asking_the_database_whatever_redis_says(
    polls: bool, submit: Submit, place: Pointer, database: Database, tmp_path: Path
) -> None:
    """Nobody answers at the address of Redis, so no bell is ever heard."""
    job_id = submit()
    here = place(database)
    notifier = Notifier("redis://127.0.0.1:1/0")
    slot_pool = SlotPool(here, "wk_test", ["default"], 1, list, notifier)
    reaper = Reaper(database, notifier, tmp_path / "work")
    swept = threading.Event()

    def sweep() -> None:
        reaper.run_once()
        swept.set()

    periodic_tasks = [PeriodicTask("reaper", sweep, 0.1, here.stopping)]
    periodic_tasks += [PeriodicTask("poller", slot_pool.look, 0.1, here.stopping)] if polls else []
    for periodic_task in periodic_tasks:
        periodic_task.start()
    deadline = threading.Event()
    while polls and not _job(database, job_id).state.is_final:
        deadline.wait(0.05)
    assert swept.wait(10)
    here.stopping.set()
    slot_pool.close()
    assert all(periodic_task.ended(10) for periodic_task in periodic_tasks)
    assert _job(database, job_id).attempt == (1 if polls else 0)


def _job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, job_id)
