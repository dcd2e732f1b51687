"""Children that were forked ahead, and have warmed Keras up when their job comes.

A spare belongs to an idle slot: one is made when a slot has been idle for a while, and none while jobs follow each
other, because warming up takes more processor time than it saves. Each spare trains one job, like every child, and only
one for the devices that it was warmed up on.
"""

import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

from workers.shared.protocol import Devices, WarmedUp, WarmUp
from workers.supervisor import orphans
from workers.supervisor.child import Child, ChildNotReading
from workers.supervisor.child_output import LogLines
from workers.supervisor.fork_server import ForkServer, ForkServerBroken

_logger = logging.getLogger(__name__)

FOLDER_PREFIX: Final = "spare-"
"""Begins the name of a folder in the worker's directory that notes the process of a spare, for the reaper."""


class Spare:
    """A child without a job."""

    def __init__(self, child: Child, folder: Path) -> None:
        self.child = child
        self.is_warm = False
        self.is_dead = False
        self.folder = folder
        self._outputs = child.outputs(poll=0.0)

    def update(self) -> None:
        """Read what the child has sent so far."""
        for output in self._outputs:
            match output:
                case None:
                    return
                case WarmedUp():
                    self.is_warm = True
                case LogLines(lines=lines):
                    _logger.warning("A spare training process printed something.", extra={"lines": lines})
        self.is_dead = True

    def discard(self) -> None:
        """Kill the child if it still runs."""
        with self.child:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


class SpareChildren:
    """Gives each job a child: a warm one if there is one for its devices, else a fresh one. Thread-safe."""

    def __init__(self, fork_server: ForkServer, devices: Devices, work_dir: Path) -> None:
        """Make no spare yet.

        Args:
            devices: what spares are warmed up on.
            work_dir: the directory of the worker.
        """
        self._fork_server = fork_server
        self._command = WarmUp(**_chosen(devices))
        self._work_dir = work_dir
        self._lock = Lock()
        self._spares: list[Spare] = []
        self._numbers = count()
        self._is_closed = False

    def spawn(self, devices: Devices) -> Child:
        """Return a child for a job on these devices.

        Raises:
            ForkServerBroken: the fork server died and could not be started again.
        """
        spare = self._take() if _chosen(devices) == _chosen(self._command) else None
        if spare is None:
            return self._fork_server.spawn()
        shutil.rmtree(spare.folder, ignore_errors=True)  # its job's directory has a note of its own
        return spare.child

    def keep_ready(self, idle_slots: Callable[[], int]) -> None:
        """Make a spare if a slot is idle that has none, and drop those that have died."""
        with self._lock:
            self._update()
            if self._is_closed or len(self._spares) >= idle_slots():
                return
            try:
                self._spares.append(self._make())
            except (ForkServerBroken, ChildNotReading, OSError) as error:
                _logger.warning("No spare training process could be made.", extra={"error": str(error)})

    def close(self) -> None:
        """Kill all spares, and make no more."""
        with self._lock, ExitStack() as on_exit:
            self._is_closed = True
            while self._spares:
                on_exit.callback(self._spares.pop().discard)

    def _take(self) -> Spare | None:
        """Return a spare that is warm by now."""
        with self._lock:
            self._update()
            spare = next((spare for spare in self._spares if spare.is_warm), None)
            if spare is not None:
                self._spares.remove(spare)
            return spare

    def _update(self) -> None:
        for spare in self._spares:
            spare.update()
        for spare in [spare for spare in self._spares if spare.is_dead]:
            _logger.warning("A spare training process died.", extra={"exit_code": spare.child.exit_code})
            self._spares.remove(spare)
            spare.discard()

    def _make(self) -> Spare:
        folder = self._work_dir / f"{FOLDER_PREFIX}{next(self._numbers)}"
        folder.mkdir()
        child = self._fork_server.spawn()
        orphans.note(folder, child.pid)
        spare = Spare(child, folder)
        try:
            child.send(self._command)
        except ChildNotReading:
            spare.discard()
            raise
        return spare


def _chosen(devices: Devices) -> dict[str, object]:
    return {name: getattr(devices, name) for name in Devices.model_fields}
