"""Measure a poll of a running job, light and full, new and unchanged: bytes, CPU milliseconds, polls a second.

The CPU is that of an API in this process, and of the database's processes. Polls a second are those of one API process,
which eight connections ask at once from this machine; what asks shares its processors.
"""

import argparse
import gc
import http.client
import itertools
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from flask.testing import FlaskClient

from benchmarks.api import PREFIX, cpu_of, running_api, serving_processes, write_epochs
from benchmarks.common import cnn_job, console, report
from benchmarks.postgres import running_postgres
from fitqueue.reports import Position
from fitqueue.spec import parse_job
from fitqueue.views import LayerView, MemoryEstimate, ModelSummary
from service.app import create_app
from service.db import Database
from service.migrate import upgrade
from service.models import Job
from service.settings import Settings
from service.store import jobs, leases, tokens, workers

EPOCHS: Final = 200
CONNECTIONS: Final = 8
LIGHT: Final = "?fields=progress,best,state"


@dataclass(frozen=True)
class Poll:
    """A kind of poll, and what was measured of it."""

    bytes: int
    """Those of the body, compressed if the service does so."""
    cpu_milliseconds: float
    polls_a_second: float


def fill(database: Database) -> tuple[str, str]:
    """Store a job that trains its last epoch; return a token and the id."""
    spec = parse_job(cnn_job("digits", epochs=EPOCHS + 1), lambda _: None).spec
    with database.write() as session:
        token = tokens.create(session, name="benchmark")
        job = jobs.create(session, spec, [], summary=_summary(), token_id=tokens.verify(session, token))
        workers.register(session, "wk_1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
        assert leases.claim(session, "wk_1", ["default"], [], 3_600) is not None
    write_epochs(database, job.id, EPOCHS)
    position = Position(EPOCHS + 1, 3)
    with database.write() as session:
        row = session.get_one(Job, job.id)
        row.epoch, row.step, row.steps = position.epoch, position.step, 9
        row.best_epoch, row.best_monitor, row.best_value = EPOCHS, "val_loss", 0.25
        row.running_metrics = {"loss": 0.25, "accuracy": 0.75}
        row.version += 1
    return token, job.id


def _summary() -> ModelSummary:
    """Return what the model check says of a model with a dozen layers."""
    layers = [
        LayerView(
            name=f"conv2d_{n}",
            class_name="Conv2D",
            output_shapes=[[None, 8, 8, 32]],
            dtype="float32",
            parameters=832,
            trainable=True,
            inputs=[f"conv2d_{n - 1}"],
        )
        for n in range(12)
    ]
    memory = MemoryEstimate(weights=1, gradients=1, optimizer=2, activations=4, total=8)
    return ModelSummary(layers=layers, parameters=9_984, trainable_parameters=9_984, memory=memory)


def headers_of_polls(client: FlaskClient, url: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the address and the headers of each kind of poll, by its name."""
    tags = {address: client.get(address).headers["ETag"] for address in (url, url + LIGHT)}
    return {
        "full": (url, {}),
        "full, unchanged": (url, {"If-None-Match": tags[url]}),
        "light": (url + LIGHT, {}),
        "light, unchanged": (url + LIGHT, {"If-None-Match": tags[url + LIGHT]}),
    }


def measure_cpu(
    client: FlaskClient, database: Database, address: str, headers: Mapping[str, str], seconds: float
) -> tuple[int, float]:
    """Return the bytes of the body, and the CPU milliseconds of a poll."""
    status = 304 if headers else 200
    compressed = {**headers, "Accept-Encoding": "gzip"}
    answer = client.get(address, headers=compressed)
    assert answer.status_code == status, answer.text
    servers, began, count = serving_processes(database), time.monotonic(), 0
    before = cpu_of(servers)
    while time.monotonic() < began + seconds or count < 10:
        client.get(address, headers=compressed).get_data()
        count += 1
    return len(answer.data), 1000 * (cpu_of(servers) - before) / count


def measure_rate(api: str, address: str, headers: Mapping[str, str], seconds: float) -> float:
    """Return how many polls a second an API answers."""
    until = time.monotonic() + seconds
    status = 304 if "If-None-Match" in headers else 200

    def ask() -> int:
        connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=60)
        for count in itertools.count():
            if time.monotonic() >= until:
                connection.close()
                return count
            connection.request("GET", address, headers=dict(headers))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        raise AssertionError

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return sum(each.result() for each in [threads.submit(ask) for _ in range(CONNECTIONS)]) / seconds


def measure(url: str, folder: str, seconds: float) -> dict[str, Poll]:
    """Return what was measured with one database, by the kind of poll."""
    upgrade(url)
    database = Database(url)
    token, job_id = fill(database)
    authorization = {"Authorization": f"Bearer {token}"}
    settings = Settings(database_url=url, redis_url="redis://127.0.0.1:1/0", storage=Path(folder))
    client = create_app(settings).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = authorization["Authorization"]
    polls = headers_of_polls(client, f"{PREFIX}/{job_id}")
    gc.collect()
    gc.freeze()  # as in an API that gunicorn serves
    measured: dict[str, Any] = {
        name: measure_cpu(client, database, address, headers, seconds) for name, (address, headers) in polls.items()
    }
    with running_api(url, folder, 1) as [api]:
        for name, (address, headers) in polls.items():
            rate = measure_rate(api, address, {**authorization, **headers}, seconds)
            measured[name] = Poll(*measured[name], polls_a_second=rate)
    database.close()
    return measured


def table(figures: Mapping[str, Mapping[str, Poll]]) -> list[tuple[str, str]]:
    return [
        (
            f"{name}, {database}",
            f"{poll.bytes:,} bytes, {poll.cpu_milliseconds:.2f} ms CPU, {poll.polls_a_second:.0f}/s",
        )
        for database, polls in figures.items()
        for name, poll in polls.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each figure is measured")
    seconds = parser.parse_args(arguments).seconds
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder, running_postgres() as postgres:
        figures = {}
        for name, url in {"sqlite": f"sqlite:///{folder}/fitqueue.db", "postgresql": postgres}.items():
            console.print(f"{name} …")
            figures[name] = measure(url, folder, seconds)
    as_json = {name: {kind: asdict(poll) for kind, poll in polls.items()} for name, polls in figures.items()}
    report("poll", table(figures), {"epochs": EPOCHS, **as_json})


if __name__ == "__main__":
    main()
