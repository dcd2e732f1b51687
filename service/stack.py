"""The embedded stack: Redis, the API and workers on this machine, with everything in one folder.

It starts the same programs that the compose file starts, each as a process, and stops them in the order that loses
nothing: the workers first (they requeue their jobs), then the API, then Redis. Redis and the workers may die without
loss, and are started again, as the compose file's `restart` does.
"""

import contextlib
import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import httpx

from fitqueue.audit_actions import AuditAction
from fitqueue.errors import FitQueueError
from fitqueue.private_files import replace_private
from fitqueue.views import Page, Readiness, WorkerView
from service.checker import STARTING
from service.db import Database
from service.migrate import upgrade
from service.models import ADMIN_ID
from service.processes import (
    end,
    end_with_parent,
    free_port,
    redis_server,
    signals_ignored,
    url_on_this_machine,
)
from service.storage_marking import mark_folder
from service.store import audit, tokens
from service.store.audit import OPERATOR

READY_TIMEOUT: Final = 240.0
"""Seconds until all must be ready. The model checker and each worker import TensorFlow, in 5 to 40 s if all is idle."""

READY_TIMEOUT_PER_WORKER: Final = 30.0
"""Added for each worker after the first."""

STOP_TIMEOUTS: Final = {"worker": 30.0, "api": 10.0, "redis": 5.0}

RESTARTED: Final = {
    "redis": "Nothing is lost: meanwhile workers poll the database.",
    "worker": "Its jobs resume from their last snapshots.",
}
"""What may die without loss, and why. Not the API: gunicorn's main process only watches over those that answer, and if
that one dies, something is wrong that a restart does not mend."""

RESTART_PAUSE: Final = 5.0
"""Seconds between two starts of a process that keeps dying."""


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
    """A context manager: entered when everything is ready, the model checker too, and left when everything has stopped.

    Call `supervise` about every second while it is entered.

    Args:
        folder: where the database, the files, the logs and `client.json` are.
        host: the address that the API listens on.
        port: the API's port; if it is taken, the next free one. 0: any.
        workers: how many workers are started.
        environment: settings (`FITQUEUE_…`) for all processes, over those of this process.
        echo: called with each line for people.

    Raises:
        StackFailed: another stack runs in the folder, or a process exited before it was ready.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8765
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    echo: Callable[[str], None] = print
    url: str = field(init=False, default="")
    token: str = field(init=False, default="")
    processes: dict[str, subprocess.Popen[bytes]] = field(init=False, default_factory=dict)
    _lock: IO[str] | None = field(init=False, default=None)
    _started_at: datetime = field(init=False)
    _programs: dict[str, _Program] = field(init=False, default_factory=dict)
    _process_started_at: dict[str, float] = field(init=False, default_factory=dict)

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
        try:
            mark_folder(database_url, self.folder / "storage")
            server, port = redis_server(), free_port(self.port, self.host)
        except OSError as error:
            raise StackFailed(str(error)) from error
        self.url = url_on_this_machine(self.host, port)
        self.token = _valid_token(self.folder / "client.json", database_url)
        replace_private(self.folder / "client.json", json.dumps({"url": self.url, "token": self.token}))

        self.echo(f"Starting Redis, the API and {_count(self.workers)} …")
        self._programs = self._make_programs(server, port, database_url)
        for name in self._programs:
            self._start_process(name)
        self._wait_until_ready()

    def _make_programs(self, server: str, port: int, database_url: str) -> dict[str, _Program]:
        """Return the programs in the order in which they are started."""
        # Chosen once, so that a restarted Redis is where the others expect it.
        redis_port, password = free_port(0), secrets.token_urlsafe(24)
        # The configuration goes in by stdin: every user of the machine can read a password among the arguments.
        configuration = (
            f"bind 127.0.0.1\nport {redis_port}\nrequirepass {password}\ndir {_redis_quoted(self.folder)}\n"
            'appendonly no\nsave ""\nmaxmemory-policy noeviction\n'
        )
        settings = {
            **os.environ,
            **self.environment,
            "FITQUEUE_HOST": self.host,
            "FITQUEUE_PORT": str(port),
            "FITQUEUE_DATABASE_URL": database_url,
            "FITQUEUE_REDIS_URL": f"redis://:{password}@127.0.0.1:{redis_port}/0",
            "FITQUEUE_STORAGE": str(self.folder / "storage"),
            "FITQUEUE_WORK_DIR": str(self.folder / "work"),
            # Whoever presses Ctrl-C does not want to wait for the ends of trainings.
            "FITQUEUE_DRAIN_SECONDS": "0",
        }
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:service.gunicorn_settings"]
        return {
            "redis": _Program([server, "-"], os.environ, configuration.encode()),
            "api": _Program(gunicorn, settings),
        } | {name: _Program([sys.executable, "-m", "workers"], settings) for name in self._worker_names}

    @property
    def _worker_names(self) -> list[str]:
        return ["worker", *(f"worker-{number}" for number in range(2, self.workers + 1))]

    def _start_process(self, name: str) -> None:
        assert self._lock is not None
        program = self._programs[name]
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            # In a session of its own: Ctrl-C in the terminal reaches this process alone, which stops them in order.
            process = subprocess.Popen(
                program.command,
                env=dict(program.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Each process holds the folder's lock, too: if one outlives us, no second stack starts beside it.
                pass_fds=[self._lock.fileno()],
                preexec_fn=end_with_parent,
            )
        self.processes[name], self._process_started_at[name] = process, time.monotonic()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it died at once; the next poll notices
            process.stdin.write(program.input)

    def _wait_until_ready(self) -> None:
        seconds = READY_TIMEOUT + READY_TIMEOUT_PER_WORKER * (self.workers - 1)
        deadline = time.monotonic() + seconds
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False) as http:  # without a proxy
            while (checker := _checker_if_ready(http, self._started_at, self.workers)) is None:
                for name in self._exited():
                    raise StackFailed(self._exit_report(name))
                if time.monotonic() > deadline:
                    raise StackFailed(f"Not ready after {seconds:.0f} s. See {self.folder / 'logs'}.")
                time.sleep(0.1)
        if checker != "ok":
            self.echo(f"Models are not checked before they run, because the model checker does not work: {checker}.")

    def supervise(self) -> None:
        """Start Redis or a worker again if it died.

        Raises:
            StackFailed: the API exited.
        """
        for name in self._exited():
            effect = RESTARTED.get(name.partition("-")[0])
            if effect is None:
                raise StackFailed(self._exit_report(name))
            if time.monotonic() - self._process_started_at[name] > RESTART_PAUSE:
                code = self.processes[name].returncode
                self._start_process(name)
                self.echo(f"The {name} process exited with code {code} and was started again. {effect}")

    def _exited(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def _exit_report(self, name: str) -> str:
        log = self.folder / "logs" / f"{name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        return f"The {name} process exited with code {self.processes[name].returncode}. The end of {log}:\n{tail}"

    def stop(self) -> None:
        """Stop what runs, in the order that loses nothing. May be called again."""
        with signals_ignored():
            for name in self.processes.keys() & self._worker_names:
                self.processes[name].terminate()  # so that the workers stop at the same time
            for name in (*self._worker_names, "api", "redis"):
                process = self.processes.pop(name, None)
                if process is not None:
                    end(process, STOP_TIMEOUTS[name.partition("-")[0]])
            if self._lock is not None:
                self._lock.close()
                self._lock = None


def _count(workers: int) -> str:
    return "one worker" if workers == 1 else f"{workers} workers"


def _lock_folder(folder: Path) -> IO[str]:
    lock = (folder / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read() or "unknown"
        lock.close()
        raise StackFailed(
            f"FitQueue already runs in {folder} (process {holder}). Stop it with Ctrl-C there, or use another --dir."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _valid_token(client_file: Path, database_url: str) -> str:
    """Return the token of an earlier start if it is still valid, so that open shells and notebooks go on working."""
    database = Database(database_url)
    try:
        with contextlib.suppress(OSError, ValueError, KeyError):
            token = str(json.loads(client_file.read_text())["token"])
            with database.read() as session:
                if tokens.verify(session, token) is not None:
                    return token
        with database.write() as session:
            new = tokens.issue(session, "embedded", ADMIN_ID)
            audit.record(session, OPERATOR, AuditAction.TOKEN_CREATE, new.row.id, {"name": "embedded"})
            return new.secret
    finally:
        database.close()


def _checker_if_ready(http: httpx.Client, started_at: datetime, workers: int) -> str | None:
    """Return the status of the model checker when it, the API and this start's workers are ready, and None until then.

    Only workers of this start count: a killed one may seem alive for a while.
    """
    try:
        ready, page = http.get("/readyz"), http.get("/api/v1/workers")
    except httpx.TransportError:
        return None
    if not (ready.is_success and page.is_success):
        return None
    rows = Page[WorkerView].model_validate_json(page.content).data
    checker = Readiness.model_validate_json(ready.content).parts["checker"]
    is_ready = sum(worker.alive and worker.started_at >= started_at for worker in rows) >= workers
    return checker if is_ready and checker != STARTING else None


def _redis_quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
