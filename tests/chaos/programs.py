"""A process of the cluster that can be killed, frozen and started again, each time with a log of its own."""

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
STOP_SECONDS: Final = 60.0


class Program:
    """Leads a session of its own, by which whatever it leaves behind is found."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.sessions: list[int] = []
        """Of all its starts."""
        self.frozen = False
        self._command = list(command)
        self._environment = dict(environment)
        self._logs = logs
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Of the newest start."""
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
        """This process alone, as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.frozen = False

    def kill_all(self) -> None:
        """It and all its descendants at once, as when a container is removed."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.frozen = False

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self.thaw()
            self._process.terminate()

    def wait(self, seconds: float = STOP_SECONDS) -> int | None:
        """Its exit code; None where it was killed because it had not ended in time."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_all()
            return None

    def descendants(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.pid).children(recursive=True)
        return found


class WorkerProgram(Program):
    """`python -m workers`, with its nursery and the children that train."""

    @property
    def id(self) -> str | None:
        """As the database knows it; None until it is ready."""
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                said = json.loads(line)
                if said["message"] == "The worker is ready.":
                    return str(said["worker"])
        return None

    def fork_server(self) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.pid).children():
                with suppress(psutil.Error):
                    if "multiprocessing.forkserver" in " ".join(process.cmdline()):
                        return process
        return None

    def children(self) -> list[psutil.Process]:
        """The processes that train."""
        fork_server = self.fork_server()
        if fork_server is None:
            return []
        with suppress(psutil.NoSuchProcess):
            return [child for child in fork_server.children() if is_alive(child)]
        return []


def is_alive(process: psutil.Process) -> bool:
    """A dead one that nobody has waited for is none."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def of_session(sessions: Sequence[int]) -> list[psutil.Process]:
    """All processes that descend from the leaders of these sessions, orphans too."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) in sessions and is_alive(process):
                found.append(process)
    return found


def python_m(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]
