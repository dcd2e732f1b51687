"""A whole FitQueue of real parts in one folder: API, workers, Redis and PostgreSQL, to be killed and started again."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

import fitqueue
from fitqueue.errors import FitQueueError
from service.db import Database
from service.migrate import upgrade
from service.processes import free_port, redis_server
from service.store import tokens
from tests.chaos.postgres import Postgres
from tests.chaos.programs import Program, WorkerProgram, of_session, python_m
from tests.small_disk import SmallDisk
from tests.waiting import until

READY_SECONDS: Final = 180.0
GONE_SECONDS: Final = 20.0


class Cluster:
    """A context manager: entered when all of it is ready, everything stopped when it is left.

    `environment` holds settings (`FITQUEUE_…`) for API and workers, `worker_environment` more of them for the workers
    alone. `worker_module` is what `python -m` starts as a worker, and `api_settings` the module that gunicorn reads: a
    test that takes a guard away, or puts a fault in, names its own.
    """

    def __init__(
        self,
        *,
        workers: int,
        environment: Mapping[str, str] | None = None,
        worker_module: str = "workers",
        worker_environment: Mapping[str, str] | None = None,
        api_settings: str = "service.gunicorn_settings",
    ) -> None:
        # Not in pytest's own folder, into which PostgreSQL's user cannot go.
        self.folder = Path(tempfile.mkdtemp(prefix="fitqueue-chaos-"))
        self.folder.chmod(0o755)
        self.logs = self.folder / "logs"
        self.store = self.folder / "store"
        self.work_dir = self.folder / "work"
        self.redis_url = ""
        self.database_url = ""
        self._count = workers
        self._environment = dict(environment or {})
        self._worker_module = worker_module
        self._api_settings = api_settings
        self._worker_environment = dict(worker_environment or {})
        self._at_the_end = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._at_the_end.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._at_the_end.close()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- its parts ----------------------------------------------------------------------------------------------

    @property
    def programs(self) -> list[Program]:
        return [self.redis, self.api, *self.workers]

    def processes(self) -> list[psutil.Process]:
        """All that descends from its programs, orphans too; without PostgreSQL's."""
        return of_session([session for program in self.programs for session in program.sessions])

    def stop_workers(self) -> list[tuple[WorkerProgram, int | None]]:
        """In order, as at a shutdown; each with its exit code. They put their jobs back."""
        for worker in self.workers:
            worker.ask_to_stop()
        return [(worker, worker.wait()) for worker in self.workers]

    def left_behind(self) -> list[psutil.Process]:
        """What runs still when the workers and the API were stopped, Redis apart."""
        sessions = [session for program in (self.api, *self.workers) for session in program.sessions]
        return of_session(sessions)

    # --- starting and stopping ----------------------------------------------------------------------------------

    def _start(self) -> None:
        self.logs.mkdir()
        self.disk = SmallDisk(self.work_dir)
        self._at_the_end.callback(self.disk.close)
        self.postgres = Postgres(self.folder)
        self._at_the_end.callback(self.postgres.stop)
        self.database_url = self.postgres.create("fitqueue")
        upgrade(self.database_url)
        self.database = Database(self.database_url)
        self._at_the_end.callback(self.database.close)
        with self.database.write() as session:
            token = tokens.create(session, name="chaos")
        self._make_programs()
        self._at_the_end.callback(self._kill_programs)
        for program in self.programs:
            program.start()
        self.client = fitqueue.Client(self.api_url, token)
        self._at_the_end.callback(self.client.close)
        until(self._is_ready, READY_SECONDS, "the cluster does not become ready", pause=0.2)

    def _make_programs(self) -> None:
        port, api_port = free_port(0), free_port(0)
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        self.api_url = f"http://127.0.0.1:{api_port}"
        settings = {
            **os.environ,
            "FITQUEUE_HOST": "127.0.0.1",
            "FITQUEUE_PORT": str(api_port),
            "FITQUEUE_DATABASE_URL": self.database_url,
            "FITQUEUE_REDIS_URL": self.redis_url,
            "FITQUEUE_STORAGE": str(self.store),
            "FITQUEUE_WORK_DIR": str(self.work_dir),
            **self._environment,
        }
        redis = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self.redis = Program("redis", redis, os.environ, self.logs)
        api = python_m("gunicorn", "--config", f"python:{self._api_settings}")
        self.api = Program("api", api, settings, self.logs)
        command, environment = python_m(self._worker_module), {**settings, **self._worker_environment}
        self.workers = [
            WorkerProgram(f"worker-{number}", command, environment, self.logs) for number in range(1, self._count + 1)
        ]

    def _is_ready(self) -> bool:
        for program in self.programs:
            assert program.is_running, f"{program.name} ended:\n{tail(program.log)}"
        try:
            alive = [worker for worker in self.client.workers() if worker.alive]
        except FitQueueError:
            return False
        return len(alive) == self._count

    def _kill_programs(self) -> None:
        for program in self.programs:
            program.kill_all()
        for process in self.processes():
            process.kill()


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
