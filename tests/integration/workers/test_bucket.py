"""A job whose files are in a bucket: a client, an API, a worker and a server that speaks S3's protocol."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from werkzeug.serving import make_server

from fitqueue.client import Client
from fitqueue.states import EventKind, JobState
from fitqueue.views import CheckpointView
from service.app import create_app
from service.db import Database
from service.processes import free_port
from service.purging import purge
from service.settings import Settings
from service.storage import WORKER_RETRY_TIMEOUT, open_storage
from service.storage_address import Bucket
from service.storage_marking import identity_reader
from service.store import tokens
from tests.s3 import S3Server
from tests.waiting import ANSWER_SECONDS

JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}},
                {"class_name": "Dense", "config": {"units": 8, "activation": "relu"}},
                {"class_name": "Dense", "config": {"units": 1}},
            ]
        },
    },
    "compile": {"optimizer": "adam", "loss": "mse"},
    "data": {"dataset": "numbers", "x": "x", "y": "y"},
    "fit": {"epochs": 3, "batch_size": 8, "verbose": 0},
    "seed": 7,
}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture(params=["redirect", "stream"])
def downloads(request: pytest.FixtureRequest, s3: S3Server) -> str:
    return s3.url if request.param == "redirect" else "stream"


@pytest.fixture
def settings(database: Database, bucket: Bucket, downloads: str) -> dict[str, Any]:
    return {
        "database_url": str(database._engine.url),
        "redis_url": f"redis://:secret@127.0.0.1:{free_port(0)}/0",
        "storage": bucket,
        "downloads": downloads,
    }


@pytest.fixture
def client(settings: dict[str, Any], database: Database, tmp_path: Path) -> Iterator[Client]:
    with database.write() as session:
        token = tokens.create(session, "tests")
    app = create_app(Settings(**settings, work_dir=tmp_path / "api"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}", token) as client:
        yield client
    server.shutdown()
    thread.join()


@pytest.fixture
def numbers(client: Client, tmp_path: Path) -> Path:
    """The file of the uploaded data set `numbers`."""
    path = tmp_path / "numbers.npz"
    x = np.arange(256, dtype="float32").reshape(64, 4) / 256
    np.savez(path, x=x, y=x.sum(axis=1))
    client.upload(path, "numbers")
    return path


def _environment(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/environ").read_text()


def test_a_job_from_the_upload_of_its_data_to_its_best_weights(
    client: Client, numbers: Path, settings: dict[str, Any], database: Database, s3: S3Server, downloads: str,
    run_worker: Callable[..., Any], until: Callable[..., Any], tmp_path: Path,
) -> None:  # fmt: skip
    endless = client.submit(JOB | {"fit": {"epochs": 100_000, "verbose": 0}})
    with run_worker(database, tmp_path / "worker", **settings) as worker:
        until(lambda: len(client.metrics(endless.id)) >= 2)
        assert not any("AWS_" in _environment(child) for child in worker.descendants())
        client.pause(endless.id)
        until(lambda: client.get(endless.id).state is JobState.PAUSED)
        trained = len(client.metrics(endless.id))
        client.resume(endless.id)
        until(lambda: len(client.metrics(endless.id)) > trained)
        client.cancel(endless.id)
        client.wait(endless.id)
        job = client.wait(client.submit(JOB).id)
        worker.stop()
    assert (job.state, job.message) == (JobState.SUCCEEDED, "All 3 epochs were trained.")
    assert EventKind.RESUMED in {event.kind for event in client.events(endless.id)}
    log = worker.log.read_text()
    assert s3.variables["AWS_SECRET_ACCESS_KEY"] not in log
    assert not [line for line in log.splitlines() if '"ERROR", "logger": "workers' in line]
    cached = list((tmp_path / "worker" / "work" / "datasets").iterdir())
    assert [path.read_bytes() for path in cached] == [numbers.read_bytes()]

    best = next(checkpoint for checkpoint in client.checkpoints(job.id) if checkpoint.name == "best")
    path = client.download(job.id, "best", tmp_path / "best.weights.h5")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == best.sha256
    check_answers(client, f"/api/v1/jobs/{job.id}/weights/best", best, downloads)

    client.delete(job.id)
    client.delete(endless.id)
    client.delete_dataset("numbers")
    storage = open_storage(Settings(**settings), WORKER_RETRY_TIMEOUT, identity_reader(database))
    purge(database, storage, threading.Event())
    assert list(storage.old_keys(timedelta(-1))) == []


def check_answers(client: Client, address: str, best: CheckpointView, downloads: str) -> None:
    headers = dict(client._transport._http.headers)
    with httpx.Client(base_url=client.url, headers=headers, timeout=ANSWER_SECONDS) as http:
        known = http.get(address, headers={"If-None-Match": f'"{best.sha256}"'})
        assert known.status_code == 304
        head = http.head(address)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(best.size))
        outside = http.get(address, headers={"Range": f"bytes={best.size}-"})
        assert outside.status_code == 416
        answer = http.get(address, headers={"Range": "bytes=10-19"})
        assert answer.headers["ETag"] == head.headers["ETag"] == f'"{best.sha256}"'
        if downloads == "stream":
            assert (answer.status_code, len(answer.content)) == (206, 10)
        else:
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith(f"{downloads}/")
            assert answer.headers["Cache-Control"] == "no-store"
            assert "fitqueue-secret" not in answer.headers["Location"]
            part = httpx.get(answer.headers["Location"], headers={"Range": "bytes=10-19"}, timeout=ANSWER_SECONDS)
            assert (part.status_code, len(part.content)) == (206, 10)
