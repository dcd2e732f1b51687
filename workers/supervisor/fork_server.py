"""The fork server: a process that has loaded TensorFlow, and forks the child of each job in about 20 ms.

It is multiprocessing's own fork server. It imports and does nothing else, because a single tensor created in it would
make every child hang. If it dies, the next `spawn` starts another one, which takes as long as importing TensorFlow.
multiprocessing does not report a failed import, so a new fork server is probed before it gets a job.
"""

import os
import signal
from contextlib import suppress
from multiprocessing import forkserver, get_context
from threading import Lock
from typing import Final

from workers.shared.entry import ChildPipes, enter
from workers.supervisor.child import Child
from workers.supervisor.child_output import LogLines

PRELOAD: Final = "workers.trainer.preload"
TRAINER: Final = "workers.trainer.run"
FORK_PROBE: Final = "workers.trainer.fork_probe"


class ForkServerBroken(Exception):
    """No child can be started."""


class ForkServer:
    """Starts children. Thread-safe."""

    def __init__(self, trainer: str = TRAINER) -> None:
        """Prepare a fork server whose children run the module `trainer`."""
        self._trainer = trainer
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        # CPython 3.11: threads that start and join children at the same time can read a wrong exit code.
        self._lock = Lock()
        self._starting = Lock()
        self._probed_pid: int | None = None

    def start(self) -> None:
        """Start the fork server if it does not run, and wait until the probe has shown that its children can train.

        Raises:
            ForkServerBroken: TensorFlow cannot be imported, or the import left something that does not survive a fork.
                The next call tries it with a new process.
        """
        with self._starting:
            pid = self._ensure_running()
            if pid == self._probed_pid:
                return
            with self._fork(FORK_PROBE) as child:
                printed = [output for output in child.outputs(poll=1.0) if isinstance(output, LogLines)]
            if child.exit_code != 0:
                _kill_fork_server(pid)
                problems = "\n".join(line for output in printed for line in output.lines)
                raise ForkServerBroken(problems or f"the probe of the fork server exited with {child.exit_code}")
            self._probed_pid = pid

    def spawn(self) -> Child:
        """Fork a child that trains a job.

        Raises:
            ForkServerBroken: the fork server died and could not be started again.
        """
        self.start()
        return self._fork(self._trainer)

    def _ensure_running(self) -> int:
        """Start the fork server if it does not run; return its pid.

        Raises:
            ForkServerBroken: it cannot be started.
        """
        try:
            with self._lock:
                forkserver.ensure_running()
        except (OSError, EOFError) as error:
            raise ForkServerBroken(f"the fork server cannot be started: {error!r}") from error
        # multiprocessing has no public way to get it; without it, we would have to probe before each child.
        pid: int = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        return pid

    def _fork(self, module: str) -> Child:
        pairs = [self._context.Pipe(duplex=False) for _ in ChildPipes._fields]
        (control_r, control_w), *outputs = pairs
        theirs = ChildPipes(control_r, *(writer for _, writer in outputs))
        process = self._context.Process(target=enter, args=(module, theirs), daemon=True)
        try:
            with self._lock:
                process.start()
        except (OSError, EOFError) as error:
            raise ForkServerBroken(f"the fork server did not fork a child: {error!r}") from error
        finally:
            for pipe in theirs:
                pipe.close()
        return Child(process, self._lock, control_w, [reader for reader, _ in outputs])


def _kill_fork_server(pid: int) -> None:
    """Return when it is dead. Its zombie is left for multiprocessing, which expects to find it."""
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
