"""A complete FitQueue in one folder: the API, workers, Redis and PostgreSQL. Each can be killed and started again."""

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
from service.storage import FolderStorage
from service.storage_marking import mark_storage
from service.store import tokens
from tests.chaos.postgres import Postgres
from tests.chaos.programs import Program, WorkerProgram, processes_of_sessions, python_module
from tests.small_disk import SmallDisk
from tests.storage_disk import StorageDisk
from tests.waiting import until

READY_TIMEOUT: Final = 180.0


class Cluster:
    """A context manager. Inside the block everything is ready; at its end everything is stopped.

    The folder stays if the block failed, because its logs and files may explain why.
    """

    def __init__(
        self,
        *,
        workers: int,
        environment: Mapping[str, str] | None = None,
        worker_module: str = "workers",
        api_settings: str = "service.gunicorn_settings",
    ) -> None:
        """Prepare the cluster.

        Args:
            workers: how many workers there are.
            environment: settings (`FITQUEUE_…`) of the API and the workers.
            worker_module: the module that `python -m` runs as a worker. A test that removes a guard or injects a fault
                names its own.
            api_settings: the module with gunicorn's settings, which a test may replace as well.
        """
        # Not in pytest's folder, which PostgreSQL's user cannot enter.
        self.folder = Path(tempfile.mkdtemp(prefix="fitqueue-chaos-"))
        self.folder.chmod(0o755)
        self.logs = self.folder / "logs"
        self.storage = self.folder / "storage"
        self.work_dir = self.folder / "work"
        self.redis_url = ""
        self.database_url = ""
        self._worker_count = workers
        self._environment = dict(environment or {})
        self._worker_module = worker_module
        self._api_settings = api_settings
        self._on_exit = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._on_exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._on_exit.close()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- Programs -----------------------------------------------------------------------------------------------

    @property
    def programs(self) -> list[Program]:
        return [self.redis, self.api, *self.workers]

    def stop_workers(self) -> list[tuple[WorkerProgram, int | None]]:
        """Shut the workers down in an orderly way, so that they requeue their jobs; return each with its exit code."""
        for worker in self.workers:
            worker.terminate()
        return [(worker, worker.wait()) for worker in self.workers]

    def processes_left(self) -> list[psutil.Process]:
        """Return the processes of the API and the workers that still run, including orphans."""
        return _processes_of([self.api, *self.workers])

    # --- Starting and stopping ----------------------------------------------------------------------------------

    def _start(self) -> None:
        self.logs.mkdir()
        self.disk = SmallDisk(self.work_dir)
        self._on_exit.callback(self.disk.close)
        self.storage_disk = StorageDisk(self.storage)
        self._on_exit.callback(self.storage_disk.close)
        self.postgres = Postgres(self.folder)
        self._on_exit.callback(self.postgres.stop)
        self.database_url = self.postgres.create("fitqueue")
        upgrade(self.database_url)
        self.database = Database(self.database_url)
        self._on_exit.callback(self.database.close)
        mark_storage(self.database, FolderStorage(self.storage))
        with self.database.write() as session:
            token = tokens.create(session, name="chaos")
        self._make_programs()
        self._on_exit.callback(self._kill_programs)
        for program in self.programs:
            program.start()
        self.client = fitqueue.Client(self.api_url, token)
        self._on_exit.callback(self.client.close)
        until(self._is_ready, READY_TIMEOUT, "the cluster does not become ready", pause=0.2)

    def _make_programs(self) -> None:
        redis_port, api_port = free_port(0), free_port(0)
        self.redis_url = f"redis://127.0.0.1:{redis_port}/0"
        self.api_url = f"http://127.0.0.1:{api_port}"
        settings = {
            **os.environ,
            "FITQUEUE_HOST": "127.0.0.1",
            "FITQUEUE_PORT": str(api_port),
            "FITQUEUE_DATABASE_URL": self.database_url,
            "FITQUEUE_REDIS_URL": self.redis_url,
            "FITQUEUE_STORAGE": str(self.storage),
            "FITQUEUE_WORK_DIR": str(self.work_dir),
            **self._environment,
        }
        redis_options = ["--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self.redis = Program("redis", [redis_server(), *redis_options], os.environ, self.logs)
        gunicorn = python_module("gunicorn", "--config", f"python:{self._api_settings}")
        self.api = Program("api", gunicorn, settings, self.logs)
        worker = python_module(self._worker_module)
        self.workers = [
            WorkerProgram(f"worker-{number}", worker, settings, self.logs)
            for number in range(1, self._worker_count + 1)
        ]

    def _is_ready(self) -> bool:
        for program in self.programs:
            assert program.is_running, f"{program.name} exited:\n{tail(program.log)}"
        try:
            alive = [worker for worker in self.client.workers() if worker.alive]
        except FitQueueError:
            return False
        return len(alive) == self._worker_count

    def _kill_programs(self) -> None:
        for program in self.programs:
            program.kill_all()
        for process in _processes_of(self.programs):
            process.kill()


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; an empty text if it does not exist."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def _processes_of(programs: list[Program]) -> list[psutil.Process]:
    return processes_of_sessions([session for program in programs for session in program.sessions])
