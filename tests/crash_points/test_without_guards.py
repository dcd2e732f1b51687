"""Counterparts of other tests: without a guard something must go wrong, or those tests would prove nothing."""

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
from service.store import attempt_outcomes, jobs
from tests.crash_points.conftest import MakeContext, history
from tests.crash_points.plan import Plan
from tests.crash_points.test_crash_points import check_files, crash_in_worker, lose_answer_to_finish
from tests.results import result
from tests.storages import new_storage
from tests.waiting import until
from workers.supervisor.free_slots import FreeSlots
from workers.supervisor.periodic import PeriodicTask
from workers.supervisor.reaper import Reaper
from workers.supervisor.slots import SlotPool

Submit = Callable[..., str]
Train = Callable[..., tuple[Job, list[int]]]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.mark.parametrize("without", ["nothing", "stop_flag"])
def test_without_the_saved_stop_flag(
    without: str, submit: Submit, train: Train, expected: dict[str, Any], database: Database
) -> None:
    """A callback has ended the training, and the worker dies before it can record that."""
    plan = Plan("finish", "before", without=without)
    job_id = submit(plan)
    train(job_id, crash_in_worker(plan))
    extra_epochs = len(result(database, job_id)["epochs"]) - len(expected["epochs"])
    assert (extra_epochs > 0) == (without == "stop_flag"), history(database, job_id)


@pytest.mark.parametrize("is_idempotent", [True, False])
def test_without_the_idempotent_finish(
    is_idempotent: bool, submit: Submit, train: Train, database: Database, tmp_path: Path,
) -> None:  # fmt: skip
    """A worker that thinks that another one ended its job leaves files behind that it should have deleted."""

    def before(attempt: int, database: Database) -> None:
        if not is_idempotent:
            attempt_outcomes._was_finished_by = lambda session, lease: False
        lose_answer_to_finish(database)

    job_id = submit()
    job, exit_codes = train(job_id, before)
    assert (job.state, exit_codes) == (JobState.SUCCEEDED, [0])
    if is_idempotent:
        check_files(database, job_id, tmp_path)
    else:
        with pytest.raises(AssertionError):
            check_files(database, job_id, tmp_path)


def put_in_place(storage: FolderStorage, key: str, source: Path) -> None:
    """The naive way to store a file."""
    target = storage.local_path(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


@pytest.mark.parametrize("put", [FolderStorage.put, put_in_place])
def test_without_writing_aside_and_renaming(put: Callable[[FolderStorage, str, Path], None], tmp_path: Path) -> None:
    """The process dies in the middle of a file that it copies from another disk."""
    storage, source = new_storage(tmp_path / "storage"), tmp_path / "source"
    source.write_bytes(b"x" * 1000)
    pid = os.fork()
    if pid == 0:
        shutil.copyfile = half_copy_then_die
        Path.replace = not_on_this_disk(Path.replace)  # type: ignore[method-assign]
        put(storage, "checkpoints/job_1/1-a.keras", source)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    is_there = storage.local_path("checkpoints/job_1/1-a.keras").exists()
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
def test_without_polling_the_database(
    polls: bool, submit: Submit, make_context: MakeContext, database: Database, tmp_path: Path
) -> None:
    """Nothing answers at the address of Redis, so no notification ever arrives."""
    job_id = submit()
    context = make_context(database)
    notifier = Notifier("redis://127.0.0.1:1/0")
    slot_pool = SlotPool(context, "wk_test", ["default"], FreeSlots(1), list, notifier)
    reaper = Reaper(database, notifier, tmp_path / "work")
    reaped = threading.Event()

    def reap() -> None:
        reaper.run_once()
        reaped.set()

    periodic_tasks = [PeriodicTask("reaper", reap, 0.1, context.stopping)]
    periodic_tasks += [PeriodicTask("poller", slot_pool.start_work, 0.1, context.stopping)] if polls else []
    for periodic_task in periodic_tasks:
        periodic_task.start()
    if polls:
        until(lambda: _job(database, job_id).state.is_final, 300.0, "the end of the job")
    assert reaped.wait(300)
    context.stopping.set()
    slot_pool.close()
    assert all(periodic_task.join(120) for periodic_task in periodic_tasks)
    assert _job(database, job_id).attempt == (1 if polls else 0)


def _job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, job_id)
