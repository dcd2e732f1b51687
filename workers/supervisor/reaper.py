"""Cleans up after dead workers. Every worker does it, so it does not depend on any single process."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.db import Database
from service.queue import Notifier
from service.store import attempt_outcomes
from workers.supervisor import orphans
from workers.supervisor.notifications import notify_pools_with_work

_logger = logging.getLogger(__name__)

_LOCK: Final = "lock"


class Reaper:
    """Requeues the jobs of dead workers, and removes what they left on this machine."""

    def __init__(self, database: Database, notifier: Notifier, work_dir: Path) -> None:
        """Create a reaper; `work_dir` has the directories of all workers of this machine."""
        self._database = database
        self._notifier = notifier
        self._work_dir = work_dir

    def expire_once(self) -> None:
        """Fail the attempts of silent workers. Call it often: until then nobody trains their jobs."""
        with self._database.read() as session:
            if not attempt_outcomes.any_expired(session):
                return
        with self._database.write() as session:
            attempt_outcomes.expire_leases(session)
        notify_pools_with_work(self._database, self._notifier)

    def run_once(self) -> None:
        """Do all of it, and notify workers of queued jobs once more."""
        self.expire_once()
        notify_pools_with_work(self._database, self._notifier)
        remove_abandoned(self._work_dir)


@contextmanager
def own_directory(work_dir: Path, worker_id: str) -> Iterator[Path]:
    """Create a directory of this worker, locked while the worker lives: when it dies, the kernel releases the lock."""
    directory = work_dir / worker_id
    directory.mkdir(parents=True)
    unlocked = directory / f"{_LOCK}.new"
    with unlocked.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unlocked.rename(directory / _LOCK)  # only now, because a lock file that is not locked means a dead worker
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned(work_dir: Path) -> None:
    """Remove the directories of dead workers, and kill the training processes that they left."""
    for directory in abandoned(work_dir):
        extra = {"directory": str(directory), "processes": orphans.kill_all(directory)}
        _logger.info("Removed the work directory of a dead worker.", extra=extra)
        shutil.rmtree(directory, ignore_errors=True)


def abandoned(work_dir: Path) -> list[Path]:
    """Return the directories of dead workers."""
    return [directory for directory in work_dir.glob("*/") if _is_abandoned(directory / _LOCK)]


def _is_abandoned(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:  # it is being created or removed, or is not a worker's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
