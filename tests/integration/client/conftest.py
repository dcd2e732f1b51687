"""A real service on a real socket, with SQLite and without Redis, and a simulated worker."""

import hashlib
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from fitqueue import cli
from fitqueue.client import Client
from fitqueue.states import Phase, Reason
from service.app import create_app
from service.db import Database
from service.migrate import upgrade
from service.settings import Settings
from service.storage import FolderStorage, checkpoint_key
from service.store import leases, recording, snapshots, tokens, workers
from service.store.leases import Lease
from service.store.snapshots import SnapshotRecord


@dataclass
class SimulatedWorker:
    """Does to one job what a worker does, step by step."""

    database: Database
    store: FolderStorage
    lease: Lease

    def phase(self, phase: Phase) -> None:
        with self.database.write() as session:
            recording.record_phase(session, self.lease, phase)

    def progress(self, epoch: int, step: int, steps: int = 10) -> None:
        with self.database.write() as session:
            recording.record_progress(session, self.lease, epoch, step, steps)

    def epoch(self, epoch: int, loss: float, rate: float = 0.001, next_rate: float = 0.001) -> None:
        logs = {"loss": loss, "val_loss": loss * 2}
        record = recording.EpochRecord(
            epoch=epoch, logs=logs, learning_rate=rate, next_learning_rate=next_rate, seconds=1.5, steps=10
        )
        with self.database.write() as session:
            recording.record_epoch(session, self.lease, record)

    def checkpoint(self, names: list[str], epoch: int, content: bytes, value: float = math.nan) -> None:
        key = checkpoint_key(self.lease, "weights.h5")
        source = self.store.temporary_folder() / "made"
        source.write_bytes(content)
        self.store.put(key, source)
        record = recording.CheckpointRecord(
            names=names,
            storage_key=key,
            format="weights.h5",
            epoch=epoch,
            batch=None,
            logs={"val_loss": value},
            monitor="val_loss",
            value=value,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        with self.database.write() as session:
            recording.record_checkpoint(session, self.lease, record)

    def snapshot(self, epoch: int) -> None:
        record = SnapshotRecord(f"snapshots/{self.lease.job_id}/{self.lease.attempt}-{epoch}", epoch, 0, 10, "0" * 64)
        with self.database.write() as session:
            snapshots.record(session, self.lease, record)

    def log(self, *texts: str) -> None:
        lines = [recording.LineRecord(at=datetime.now(UTC), stream="stdout", text=text) for text in texts]
        with self.database.write() as session:
            recording.record_log_lines(session, self.lease, lines)

    def finish(self, reason: Reason = Reason.COMPLETED, message: str = "All epochs were trained.") -> None:
        with self.database.write() as session:
            assert leases.finish(session, self.lease, reason, message)

    def requeue(self) -> None:
        with self.database.write() as session:
            assert leases.requeue(session, self.lease, "the worker was shut down")


@dataclass
class Served:
    """A running service."""

    url: str
    token: str
    database: Database
    store: FolderStorage

    def claim(self) -> SimulatedWorker:
        """Claim the next job, as a worker would."""
        with self.database.write() as session:
            workers.register(session, "wk_1", host="gpu-box", pools=["default"], slots=2, devices=["CPU"], gpus=[])
            claimed = leases.claim(session, "wk_1", ["default"], [], 30.0)
        assert claimed is not None
        return SimulatedWorker(self.database, self.store, claimed.lease)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/fitqueue.db",
        redis_url="redis://127.0.0.1:9/0",
        store=tmp_path / "store",
    )
    upgrade(settings.database_url)
    database = Database(settings.database_url)
    with database.write() as session:
        token = tokens.create(session, "tests")
    server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Served(f"http://127.0.0.1:{server.server_port}", token, database, FolderStorage(settings.store))
    server.shutdown()
    thread.join()
    database.close()


@pytest.fixture
def client(service: Served) -> Iterator[Client]:
    with Client(service.url, service.token) as opened:
        yield opened


@pytest.fixture
def job() -> dict[str, Any]:
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
    """Runs one command line in an empty folder and returns its exit code, stdout and stderr."""
    monkeypatch.setenv("FITQUEUE_URL", service.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", service.token)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return command
