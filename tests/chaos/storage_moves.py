"""The moves against the storage: it is gone, full or read-only for a while, or one of its files hangs."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import select

from fitqueue.errors import DatabaseUnavailable
from fitqueue.states import FINAL_STATES
from service.models import Job, Snapshot
from tests.chaos.cluster import Cluster
from tests.chaos.repairs import Repairs

OUTAGE_SECONDS: Final = (0.5, 3.0)
HANGING_SECONDS: Final = 5.0

KINDS: Final = frozenset({"storage gone", "storage full", "storage read-only"})
"""The moves that need a disk that can fail."""


class StorageMoves:
    """Makes moves against the storage of a cluster. None of them counts as a failed attempt, so none spares a job."""

    def __init__(self, cluster: Cluster, rng: random.Random, repairs: Repairs, log: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._rng = rng
        self._repairs = repairs
        self._log = log
        self._is_broken = False
        disk = cluster.storage_disk
        self.by_kind: dict[str, Callable[[], bool]] = {
            "storage gone": partial(self._break, "gone", disk.detach, disk.attach),
            "storage full": partial(self._break, "full", disk.fill, disk.free),
            "storage read-only": partial(self._break, "read-only", disk.make_read_only, disk.make_writable),
            "hanging file": self._let_file_hang,
        }

    def _break(self, how: str, break_it: Callable[[], bool], mend: Callable[[], bool]) -> bool:
        if self._is_broken or not break_it():
            return False
        seconds = self._rng.uniform(*OUTAGE_SECONDS)
        self._is_broken = True
        self._log(f"storage: {how} for {seconds:.2f} s")
        self._repairs.add(seconds, partial(self._mend, mend))
        return True

    def _mend(self, mend: Callable[[], bool]) -> None:
        assert mend(), "the storage cannot be mended"
        self._is_broken = False
        self._log("storage: mended")

    def _let_file_hang(self) -> bool:
        """Put a pipe without a writer in the place of a snapshot. Whoever opens it waits."""
        path = self._path_of_snapshot()
        if self._is_broken or path is None:
            return False
        aside = path.with_name(f"{path.name}.aside")
        try:
            path.rename(aside)
            os.mkfifo(path)
        except OSError:  # it has just been replaced
            return False
        self._is_broken = True  # while the storage is gone, the file cannot be put back
        self._log(f"hanging file: {path}")
        self._repairs.add(HANGING_SECONDS, partial(self._put_back, aside, path))
        return True

    def _put_back(self, aside: Path, path: Path) -> None:
        """Put the file back, unless it was deleted meanwhile, and let those go on that wait for it."""
        self._is_broken = False
        is_wanted = path.exists()
        with suppress(OSError):  # nobody waits
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        with suppress(OSError):
            if is_wanted:
                aside.replace(path)
            else:
                aside.unlink()

    def _path_of_snapshot(self) -> Path | None:
        """Return a snapshot of an open job, rather of one that waits for its next attempt."""
        query = (
            select(Snapshot.storage_key)
            .join(Job, Job.id == Snapshot.job_id)
            .where(Job.state.not_in(FINAL_STATES))
            .order_by(Job.state, Snapshot.created_at.desc())
            .limit(1)
        )
        with suppress(DatabaseUnavailable), self._cluster.database.read() as session:
            key = session.scalar(query)
            return None if key is None else self._cluster.storage / key
        return None
