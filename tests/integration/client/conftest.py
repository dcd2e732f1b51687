"""A real service on a real socket, with SQLite and without Redis, and a simulated worker."""

import hashlib
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from fitqueue import cli
from fitqueue.client import Client
from fitqueue.reports import ArtifactWritten, Position
from fitqueue.states import Phase, Reason
from service import clock
from service.app import create_app
from service.db import Database
from service.migrate import upgrade
from service.models import Job
from service.settings import Settings
from service.storage import FolderStorage, artifact_key, checkpoint_key
from service.store import attempt_outcomes, leases, recording, snapshots, step_metrics, tokens, workers
from service.store.leases import Lease
from tests.reports import checkpoint_written, epoch_ended, printed, snapshot_written
from tests.storages import new_storage


@dataclass
class SimulatedWorker:
    """A worker that holds a job, and writes what a test tells it to."""

    database: Database
    storage: FolderStorage
    lease: Lease

    def phase(self, phase: Phase) -> None:
        with self._held_job() as (session, job):
            recording.record_phase(session, job, phase)

    def progress(self, epoch: int, step: int, steps: int = 10, *, is_point: bool = False, **metrics: float) -> None:
        """Record that this many steps of an epoch, counted from 1, were trained, and its metrics up to there."""
        position = Position(epoch - 1, step)
        with self._held_job() as (session, job):
            recording.record_progress(job, position, steps, metrics)
            if is_point:
                step_metrics.add(session, job, position, metrics)

    def epoch(
        self,
        epoch: int,
        loss: float,
        rate: float = 0.001,
        next_rate: float = 0.001,
        seconds: float = 1.5,
        **metrics: float,
    ) -> None:
        """Record an epoch whose validation loss is twice its loss."""
        logs = {"loss": loss, "val_loss": loss * 2, **metrics}
        ended = epoch_ended(epoch, logs, learning_rate=rate, next_learning_rate=next_rate, seconds=seconds, steps=10)
        with self._held_job() as (session, job):
            recording.record_epoch(session, job, ended)

    def checkpoint(self, names: list[str], epoch: int, content: bytes, value: float = math.nan) -> None:
        """Store and record a checkpoint with `val_loss` as its monitor."""
        key = checkpoint_key(self.lease.job_id, self.lease.attempt, "weights.h5")
        source = self.storage.temporary_folder() / "written"
        source.write_bytes(content)
        self.storage.put(key, source)
        sha256 = hashlib.sha256(content).hexdigest()
        written = checkpoint_written(names, epoch, value=value, size=len(content), sha256=sha256)
        written = written.model_copy(update={"logs": {"val_loss": value}, "monitor": "val_loss"})
        with self._held_job() as (session, job):
            recording.record_checkpoint(session, job, written, key)

    def artifact(self, name: str, content: bytes) -> None:
        key = artifact_key(self.lease.job_id, self.lease.attempt)
        source = self.storage.temporary_folder() / "written"
        source.write_bytes(content)
        self.storage.put(key, source)
        written = ArtifactWritten(file="1", size=len(content), sha256=hashlib.sha256(content).hexdigest(), name=name)
        with self._held_job() as (session, job):
            recording.record_artifact(session, job, written, key)

    def snapshot(self, epoch: int) -> None:
        key = f"snapshots/{self.lease.job_id}/{self.lease.attempt}-{epoch}"
        with self._held_job() as (session, job):
            snapshots.record(session, job, snapshot_written(epoch), key)

    def log(self, *texts: str) -> None:
        with self._held_job() as (session, job):
            recording.record_lines(session, job, [printed(text) for text in texts])

    def finish(self, reason: Reason = Reason.COMPLETED, message: str = "All epochs were trained.") -> None:
        with self.database.write() as session:
            assert attempt_outcomes.finish(session, self.lease, reason, message)

    def requeue(self) -> None:
        with self.database.write() as session:
            assert attempt_outcomes.requeue(session, self.lease, "The worker was shut down.")

    def ask_to_make_room(self) -> None:
        with self._held_job() as (session, job):
            job.preempt_requested_at = clock.now(session)
            job.version += 1

    def make_room(self) -> None:
        with self.database.write() as session:
            assert attempt_outcomes.requeue(session, self.lease, "The job made room for another one.", preempted=True)

    @contextmanager
    def _held_job(self) -> Iterator[tuple[Session, Job]]:
        """Open a transaction with the job's row locked."""
        with self.database.write() as session:
            yield session, leases.held_job(session, self.lease)


@dataclass
class Served:
    """A running service."""

    url: str
    token: str
    database: Database
    storage: FolderStorage
    folder: Path
    """Has the database as `fitqueue.db`, and the storage as `storage`."""

    def claim(self) -> SimulatedWorker:
        """Claim the next job, as a worker would."""
        with self.database.write() as session:
            workers.register(session, "wk_1", host="gpu-box", pools=["default"], slots=2, devices=["CPU"], gpus=[])
            claimed = leases.claim(session, "wk_1", ["default"], [], 30.0)
        assert claimed is not None
        return SimulatedWorker(self.database, self.storage, claimed.lease)


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Run a service with an empty database, below a path of its host."""
    storage = new_storage(folder / "storage")
    settings = Settings(
        database_url=f"sqlite:///{folder}/fitqueue.db",
        redis_url="redis://127.0.0.1:9/0",
        storage=folder / "storage",
    )
    upgrade(settings.database_url)
    database = Database(settings.database_url)
    with database.write() as session:
        token = tokens.create(session, "tests")
    application = DispatcherMiddleware(NotFound(), {"/fitqueue": create_app(settings)})
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Served(f"http://127.0.0.1:{server.server_port}/fitqueue", token, database, storage, folder)
    server.shutdown()
    thread.join()
    database.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    """A running service of one test."""
    with serve(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running service of all tests of a module."""
    with serve(tmp_path_factory.mktemp("service")) as served:
        yield served


@pytest.fixture
def client(service: Served) -> Iterator[Client]:
    """A client of the service."""
    with Client(service.url, service.token) as opened:
        yield opened


@pytest.fixture
def log_in(service: Served, client: Client) -> Iterator[Callable[..., Client]]:
    """A function that makes a new user, and returns a client of theirs."""
    with ExitStack() as opened:

        def make(name: str, role: str = "member", scope: str = "all") -> Client:
            client.create_user(name, role=role)
            token = client.create_token("laptop", user=name, scope=scope).token
            return opened.enter_context(Client(service.url, token))

        yield make


@pytest.fixture
def job() -> dict[str, Any]:
    """A job as a user writes it."""
    return {
        "name": "digits",
        "model": {
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {"class_name": "Input", "config": {"shape": [8, 8]}},
                    {"class_name": "Flatten", "config": {}},
                    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
                ]
            },
        },
        "compile": {
            "optimizer": {"class_name": "Adam", "config": {"lr": 0.001}},
            "loss": "sparse_categorical_crossentropy",
        },
        "data": {"dataset": "digits", "x": "x_train", "y": "y_train", "validation": {"x": "x_test", "y": "y_test"}},
        "fit": {"epochs": 3},
    }


@pytest.fixture
def run(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command line in an empty folder, and returns its exit code, stdout and stderr."""
    monkeypatch.setenv("FITQUEUE_URL", service.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", service.token)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return command
