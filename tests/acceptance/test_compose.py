"""`docker compose up -d --wait --scale worker=4` on a real engine, whatever happens to its containers meanwhile.

`make test-docker` runs these. They build the images, and need no GPU: that the GPU file gives each worker all GPUs is
seen on an engine that takes the reservation for granted.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import h5py
import numpy as np
import pytest

import fitqueue
from benchmarks.common import cnn_job
from benchmarks.containers import API_IMAGE, WORKER_IMAGE, Deployment, deployment, run
from fitqueue.errors import DatabaseUnavailable
from fitqueue.states import EventKind, JobState
from fitqueue.views import EventView, WorkerView

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

WORKERS = 4
CLAIMED = EventKind.CLAIMED
SHORT, LONG = 5, 150
"""Epochs. A long job is still in its middle when its worker is killed, however fast the machine and slow its Docker."""

UNTIL_SECONDS = 180.0


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Docker with Compose 2. Where none answers these tests are skipped, but for CI, which starts one."""
    try:
        run("docker", "version")
        run("docker", "compose", "version")
    except (OSError, RuntimeError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Docker engine with Compose answers: {error}")


@pytest.fixture(scope="module")
def deployed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # The lease is short, so that the job of a worker that was killed need not be waited for.
    with deployment(tmp_path_factory.mktemp("deployment"), FITQUEUE_LEASE_SECONDS=8) as deployed:
        deployed.compose("build")
        deployed.up(WORKERS)
        yield deployed


@pytest.fixture(scope="module")
def client(deployed: Deployment) -> Iterator[fitqueue.Client]:
    with deployed.client() as client:
        yield client


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + UNTIL_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {UNTIL_SECONDS:.0f} s: {what}"
        Event().wait(0.1)
    return found


def alive(client: fitqueue.Client) -> list[WorkerView]:
    return [worker for worker in client.workers() if worker.alive]


def events_of(client: fitqueue.Client, job_id: str, kind: EventKind) -> list[EventView]:
    return [event for event in client.events(job_id) if event.kind is kind]


def until_epoch(client: fitqueue.Client, job_id: str, epoch: int) -> None:
    told = client.events(job_id, follow=True)
    next(event for event in told if event.kind is EventKind.EPOCH_ENDED and event.data["epoch"] >= epoch)


def training(client: fitqueue.Client, count: int, epochs: int = SHORT, **fields: Any) -> list[str]:
    """The ids of as many new jobs, all equal, when the first is being trained. By their priority they need not wait."""
    job_ids = [client.submit(cnn_job("digits", epochs) | fields).id for _ in range(count)]
    until_epoch(client, job_ids[0], 1)
    return job_ids


def answers(client: fitqueue.Client) -> bool:
    with suppress(DatabaseUnavailable):
        return bool(client.workers())
    return False


def kill(container: str) -> None:
    """As when the host's memory is short. `docker kill` is a wish to Docker, which starts nothing again."""
    pid = run("docker", "inspect", "--format", "{{.State.Pid}}", container).strip()
    killer = ["docker", "run", "--rm", "--pid=host", "--user=root", WORKER_IMAGE, "sh", "-c", f"kill -9 {pid}"]
    run(*killer)


def histories(client: fitqueue.Client, job_ids: list[str]) -> set[str]:
    """All metrics of all epochs: equal jobs, of one seed, have one."""
    rows = [[(row.epoch, row.metrics) for row in client.metrics(job_id)] for job_id in job_ids]
    return {json.dumps(history, sort_keys=True) for history in rows}


def _in_words(events: list[EventView]) -> str:
    lines = [f"{event.at:%H:%M:%S.%f} attempt {event.attempt}: {event.message}" for event in events]
    return "\n".join(["it does not go on:", *(line for line in lines if "Epoch" not in line), *lines[-3:]])


def assert_are_weights(file: Path) -> None:
    """Of the document's CNN: four layers with a kernel and a bias each."""
    found: list[Any] = []
    with h5py.File(file) as stored:
        stored.visititems(lambda _, each: found.append(each[()]) if isinstance(each, h5py.Dataset) else None)
    assert len(found) == 8
    assert all(np.isfinite(array).all() for array in found)


def test_whatever_happens_no_job_is_lost(deployed: Deployment, client: fitqueue.Client, tmp_path: Path) -> None:
    first_workers = until(lambda: alive(client) if len(alive(client)) == WORKERS else None, "four workers")
    hosts = {worker.id: worker.host for worker in first_workers}

    short = [client.submit(cnn_job("digits", SHORT)).id for _ in range(6)]
    hit, twin = training(client, 2, LONG, priority=1)
    until_epoch(client, hit, 30)  # snapshots are written and stored beside the training: by then the first surely is
    [claim] = events_of(client, hit, CLAIMED)
    kill(hosts[claim.data["worker"]])
    told = list(client.events(hit, follow=True))
    [resumed] = [event for event in told if event.kind is EventKind.RESUMED] or pytest.fail(_in_words(told))
    assert (resumed.attempt, resumed.data["epoch"] > 0) == (2, True)
    until(lambda: len({worker.id for worker in alive(client)} - {claim.data["worker"]}) == WORKERS, "it starts again")

    short += training(client, 5, priority=2)
    deployed.compose("restart", "redis")
    short += training(client, 5, priority=3)
    deployed.compose("restart", "postgres")
    until(lambda: answers(client), "the database is back")

    short += training(client, 6, priority=4)
    deployed.up(2)
    until(lambda: len(alive(client)) == 2, "two workers")
    deployed.up(WORKERS)
    until(lambda: len(alive(client)) == WORKERS, "four workers again")

    all_jobs = [hit, twin, *short]
    assert len(all_jobs) == 24
    jobs = [client.wait(job_id) for job_id in all_jobs]
    assert {job.id: job.message for job in jobs if job.state is not JobState.SUCCEEDED} == {}
    assert len(histories(client, short)) == 1
    assert len(histories(client, [hit, twin])) == 1, "the one that was hit is trained as the one that was not"
    assert [row.epoch for row in client.metrics(hit)] == list(range(1, LONG + 1)), "none is lost, and none counts twice"

    claimed_by = {event.data["worker"] for job_id in all_jobs for event in events_of(client, job_id, CLAIMED)}
    assert set(hosts) <= claimed_by, "each of the four had its share"
    for job_id in all_jobs:
        assert_are_weights(client.download(job_id, "best", tmp_path / f"{job_id}.weights.h5"))


@pytest.mark.parametrize("service", ["redis", "api", "worker"])
def test_nothing_of_ours_is_root_or_can_change_its_image(deployed: Deployment, service: str) -> None:
    asked = "test $(id -u) != 0 && ! touch /etc/new 2> /dev/null && ! touch /opt/new 2> /dev/null && echo so it is"
    assert deployed.compose("exec", "-T", service, "sh", "-c", asked) == "so it is\n"


def test_passwords_are_in_no_layer_no_log_and_no_list_of_processes(deployed: Deployment) -> None:
    images = [API_IMAGE, WORKER_IMAGE]
    layers = [run("docker", "history", "--no-trunc", image) + run("docker", "inspect", image) for image in images]
    seen = "".join([*layers, deployed.compose("logs"), deployed.compose("top")])
    assert "gunicorn" in seen
    assert "The worker is ready." in seen
    assert len(deployed.secrets) == 2
    assert not [secret for secret in deployed.secrets if secret in seen]
    copied = deployed.compose("exec", "-T", "api", "ls", "--almost-all").split()
    assert set(copied) == {"fitqueue", "service", "workers", "migrations", "pyproject.toml", "README.md"}


def test_nothing_starts_without_passwords(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.compose("config", "--quiet")
    (tmp_path / ".env").unlink()
    with pytest.raises(RuntimeError, match="run `fitqueue init` first"):
        deployment.compose("config", "--quiet")


def test_the_gpu_file_gives_each_worker_all_gpus(deployed: Deployment, tmp_path: Path) -> None:
    try:
        run("docker", "run", "--rm", "--gpus=all", WORKER_IMAGE, "true")
    except RuntimeError as error:
        if os.environ.get("DOCKER_ENGINE_STUB_GPU"):
            raise
        pytest.skip(f"this engine knows no GPUs: {error}")
    deployed.compose("stop", "worker")  # two cores have enough to do with one set of workers
    # The image for CPUs: that for GPUs is three times as large. An engine in a container may lift no limit.
    (tmp_path / "here.yml").write_text("services: {worker: {ulimits: {memlock: 65536}}}")
    files = "docker-compose.yml:docker-compose.gpu.yml:here.yml"
    with deployment(tmp_path, "--gpu", FITQUEUE_DEVICE="cpu", COMPOSE_FILE=files) as on_gpu_host:
        on_gpu_host.compose("build")
        on_gpu_host.up(2)
        workers = on_gpu_host.containers("worker")
        assert len(workers) == 2
        for worker in workers:
            environment = run("docker", "exec", worker, "cat", "/proc/1/environ").split("\0")
            assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(environment)
