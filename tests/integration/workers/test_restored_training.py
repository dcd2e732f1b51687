"""A machine is lost while a job trains. Another one, which was empty, gets the backup and trains on."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.serving import make_server

from fitqueue.client import Client
from fitqueue.states import EventKind, JobState
from service.app import create_app
from service.db import Database
from service.models import Event, Job
from service.processes import free_port
from service.settings import Settings
from service.store import jobs, snapshots, tokens
from tests.integration.workers.conftest import ROOT
from tests.results import result
from tests.small_job import WITH_DROPOUT

EPOCHS = 120
TRAINED = 5
"""How many epochs are trained before the backup. The rest takes longer than the backup."""

LEASE_SECONDS = 120.0
"""No lease expires, however busy the machine is: what ends an attempt here is something else."""

LONG = 400.0
"""Seconds for a whole training on a busy machine."""

JOB: dict[str, Any] = {
    **WITH_DROPOUT,
    "fit": {"epochs": EPOCHS, "batch_size": 64, "shuffle": True, "verbose": 0},
    "callbacks": [
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "patience": 7, "min_delta": 0.001}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "best-so-far.weights.h5", "monitor": "loss", "save_best_only": True,
            "save_weights_only": True}},
    ],
    "seed": 11,
}  # fmt: skip


class Machine:
    """A folder with a database and a storage, where commands and workers run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.settings: dict[str, Any] = {
            "database_url": f"sqlite:///{folder}/fitqueue.db",
            "redis_url": f"redis://:secret@127.0.0.1:{free_port(0)}/0",
            "storage": folder / "storage",
            "work_dir": folder / "work",
            "lease_seconds": LEASE_SECONDS,
        }

    def run(self, *command: object) -> str:
        variables = {f"FITQUEUE_{name.upper()}": str(value) for name, value in self.settings.items()}
        program = "import sys; from fitqueue.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", program, *map(str, command)], cwd=ROOT, env=os.environ | variables, check=True,
            stdout=subprocess.PIPE, text=True, timeout=120,
        ).stdout  # fmt: skip

    @contextmanager
    def database(self) -> Iterator[Database]:
        with closing(Database(self.settings["database_url"])) as database:
            yield database

    @contextmanager
    def client(self, token: str) -> Iterator[Client]:
        """Run an API, and give its client."""
        server = make_server("127.0.0.1", 0, create_app(Settings(**self.settings)), threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}", token) as client:
            yield client
        server.shutdown()
        thread.join()


def _is_on_its_way(database: Database, job_id: str) -> bool:
    with database.read() as session:
        return jobs.get(session, job_id).epoch >= TRAINED and bool(snapshots.newest_first(session, job_id))


def _state(database: Database, job_id: str) -> JobState:
    with database.read() as session:
        return jobs.get(session, job_id).state


@pytest.mark.timeout(600)
def test_a_job_that_ran_during_the_backup_goes_on_elsewhere_as_if_nothing_had_happened(
    tmp_path: Path, run_worker: Callable[..., Any], make_spec: Callable[..., Any], until: Callable[..., Any]
) -> None:
    old, new = Machine(tmp_path / "old"), Machine(tmp_path / "new")
    old.run("migrate")
    with old.database() as database:
        with database.write() as session:
            token = tokens.create(session, "ada")
            undisturbed, disturbed = (jobs.create(session, make_spec(**JOB), []).id for _ in range(2))
        with run_worker(database, old.folder, **old.settings) as worker:
            until(lambda: _state(database, undisturbed) is JobState.SUCCEEDED, LONG)
            until(lambda: _is_on_its_way(database, disturbed))
            old.run("backup", tmp_path / "backup")
            assert worker.process.poll() is None, "the service runs on"
            worker.stop(signal.SIGKILL)
        expected = result(database, undisturbed)
    shutil.rmtree(old.folder)

    assert "Jobs that were running are queued again: 1." in new.run("restore", tmp_path / "backup")
    with new.database() as database:
        with run_worker(database, new.folder, **new.settings) as worker:
            until(lambda: _state(database, disturbed) is JobState.SUCCEEDED, LONG)
            worker.stop()
        assert result(database, undisturbed) == expected
        assert result(database, disturbed) == expected
        with database.read() as session:
            resumed = session.scalars(
                select(Event).where(Event.job_id == disturbed, Event.kind == EventKind.RESUMED)
            ).one()
            assert session.get_one(Job, disturbed).failed_attempts == 0
    assert (resumed.attempt, resumed.data["epoch"] > 0) == (2, True)
    with new.client(token) as client:
        for job_id in (undisturbed, disturbed):
            best = next(checkpoint for checkpoint in client.checkpoints(job_id) if checkpoint.name == "best")
            path = client.download(job_id, "best", tmp_path / f"{job_id}.weights.h5")
            assert hashlib.sha256(path.read_bytes()).hexdigest() == best.sha256
