"""Programs of the cluster. Each can be killed, frozen and started again, and each start has its own log."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[2]
STOP_TIMEOUT: Final = 60.0


class Program:
    """A program that runs in a session of its own. Whatever it leaves behind is found by that session."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        """Prepare the program.

        Args:
            logs: the folder in which each start writes a log.
        """
        self.name = name
        self.sessions: list[int] = []
        """The session ids of all starts."""
        self.is_frozen = False
        self._command = list(command)
        self._environment = dict(environment)
        self._logs = logs
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The log of the latest start."""
        return self._logs / f"{self.name}.{len(self.sessions)}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running
        with (self._logs / f"{self.name}.{len(self.sessions) + 1}.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.sessions.append(self._process.pid)

    def kill(self) -> None:
        """Kill only this process, as the kernel does when the machine runs out of memory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.is_frozen = False

    def kill_all(self) -> None:
        """Kill the program and all its descendants at once, as when a container is removed."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.is_frozen = False

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self.is_frozen = False

    def terminate(self) -> None:
        """Ask the program to stop, even if it is frozen."""
        if self._process is not None:
            self.thaw()
            self._process.terminate()

    def wait(self, seconds: float = STOP_TIMEOUT) -> int | None:
        """Return the exit code; None if the program did not exit in time and was killed."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_all()
            return None

    def descendants(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return list(psutil.Process(self.pid).children(recursive=True))
        return []


class WorkerProgram(Program):
    """A worker with its fork server and its training processes."""

    @property
    def id(self) -> str | None:
        """The worker's id in the database; None until the worker is ready."""
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                fields = json.loads(line)
                if fields["message"] == "The worker is ready.":
                    return str(fields["worker"])
        return None

    def fork_server(self) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.pid).children():
                with suppress(psutil.Error):
                    if "multiprocessing.forkserver" in " ".join(process.cmdline()):
                        return process
        return None

    def training_processes(self) -> list[psutil.Process]:
        fork_server = self.fork_server()
        if fork_server is None:
            return []
        with suppress(psutil.NoSuchProcess):
            return [child for child in fork_server.children() if is_alive(child)]
        return []


def is_alive(process: psutil.Process) -> bool:
    """Tell whether the process runs. A dead one that nobody has waited for does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def processes_of_sessions(sessions: Sequence[int]) -> list[psutil.Process]:
    """Return all processes in these sessions, including orphans."""
    processes = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) in sessions and is_alive(process):
                processes.append(process)
    return processes


def python_module(*arguments: str) -> list[str]:
    """Return the command `python -m …` with these arguments."""
    return [sys.executable, "-m", *arguments]
