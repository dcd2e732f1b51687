"""Cleans up after workers that were lost: every worker does, so no process is the only one."""

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
from service.store import leases
from workers.supervisor import orphans
from workers.supervisor.notifications import notify_pools_with_work

_logger = logging.getLogger(__name__)

_LOCK: Final = "lock"


class Reaper:
    def __init__(self, database: Database, notifier: Notifier, work_dir: Path) -> None:
        """`work_dir` holds the directories of all workers of this machine."""
        self._database = database
        self._notifier = notifier
        self._work_dir = work_dir

    def expire_once(self) -> None:
        """Put back the jobs of silent workers. To be called often: until then nobody trains them."""
        with self._database.read() as session:
            if not leases.some_have_expired(session):
                return
        with self._database.write() as session:
            leases.expire_leases(session)
        notify_pools_with_work(self._database, self._notifier)

    def run_once(self) -> None:
        """All of it: put back, ring again for jobs that wait, and remove what lost workers of this machine left."""
        self.expire_once()
        notify_pools_with_work(self._database, self._notifier)
        remove_abandoned(self._work_dir)


@contextmanager
def own_directory(work_dir: Path, worker_id: str) -> Iterator[Path]:
    """A directory of this worker's, locked while the worker lives; the kernel lets go of the lock when it dies."""
    directory = work_dir / worker_id
    directory.mkdir(parents=True)
    unlocked = directory / f"{_LOCK}.new"
    with unlocked.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unlocked.rename(directory / _LOCK)  # under this name only now: one that is not locked is a dead worker's
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned(work_dir: Path) -> None:
    for left in abandoned(work_dir):
        ended = orphans.end_all(left)
        extra = {"directory": str(left), "processes": ended}
        _logger.info("Removed the work directory of a lost worker.", extra=extra)
        shutil.rmtree(left, ignore_errors=True)


def abandoned(work_dir: Path) -> list[Path]:
    """Directories of workers that are no more."""
    return [directory for directory in work_dir.glob("*/") if _is_abandoned(directory / _LOCK)]


def _is_abandoned(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:  # being made, being removed, or not a worker's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
