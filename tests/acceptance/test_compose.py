"""`docker compose up -d --wait` with four workers on a real engine, while containers are killed and restarted.

`make test-docker` runs these tests. They build the images, and need no GPU: an engine that merely accepts the
reservation shows that the GPU file gives each worker all GPUs.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
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
from tests.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

WORKERS = 4
CLAIMED = EventKind.CLAIMED
SHORT, LONG = 5, 150
"""Epochs. A long job is still training when its worker is killed, however fast the machine and however slow Docker."""

TIMEOUT = 180.0


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skip these tests if there is no Docker engine with Compose 2. CI starts one, so there it is an error."""
    try:
        run("docker", "version")
        run("docker", "compose", "version")
    except (OSError, RuntimeError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"there is no Docker engine with Compose: {error}")


@pytest.fixture(scope="module")
def deployed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # The lease is short, so that the job of a killed worker soon goes to another one.
    with deployment(tmp_path_factory.mktemp("deployment"), FITQUEUE_LEASE_SECONDS=8) as deployed:
        deployed.compose("build")
        deployed.up(WORKERS)
        yield deployed


@pytest.fixture(scope="module")
def client(deployed: Deployment) -> Iterator[fitqueue.Client]:
    with deployed.client() as client:
        yield client


def alive(client: fitqueue.Client) -> list[WorkerView]:
    return [worker for worker in client.workers() if worker.alive]


def alive_except(client: fitqueue.Client, worker_id: str) -> list[WorkerView]:
    return [worker for worker in alive(client) if worker.id != worker_id]


def events_of(client: fitqueue.Client, job_id: str, kind: EventKind) -> list[EventView]:
    return [event for event in client.events(job_id) if event.kind is kind]


def until_epoch(client: fitqueue.Client, job_id: str, epoch: int) -> None:
    events = client.events(job_id, follow=True)
    next(event for event in events if event.kind is EventKind.EPOCH_ENDED and event.data["epoch"] >= epoch)


def submit_equal_jobs(client: fitqueue.Client, count: int, epochs: int = SHORT, **fields: Any) -> list[str]:
    """Submit so many equal jobs, wait until the first one trains, and return their ids.

    Give them a priority, so that they do not wait for the jobs that are queued already.
    """
    job_ids = [client.submit(cnn_job("digits", epochs) | fields).id for _ in range(count)]
    until_epoch(client, job_ids[0], 1)
    return job_ids


def is_database_up(client: fitqueue.Client) -> bool:
    with suppress(DatabaseUnavailable):
        return bool(client.workers())
    return False


def kill(container: str) -> None:
    """Kill a container's main process, as the kernel does when the host runs out of memory.

    Docker does not restart a container after `docker kill`, because that is what its user wanted.
    """
    pid = run("docker", "inspect", "--format", "{{.State.Pid}}", container).strip()
    run("docker", "run", "--rm", "--pid=host", "--user=root", WORKER_IMAGE, "sh", "-c", f"kill -9 {pid}")


def histories(client: fitqueue.Client, job_ids: list[str]) -> set[str]:
    """Return the different histories of metrics. Equal jobs with the same seed have the same one."""
    rows = [[(row.epoch, row.metrics) for row in client.metrics(job_id)] for job_id in job_ids]
    return {json.dumps(history, sort_keys=True) for history in rows}


def describe(events: list[EventView]) -> str:
    lines = [f"{event.at:%H:%M:%S.%f} attempt {event.attempt}: {event.message}" for event in events]
    return "\n".join(["the job was not resumed:", *(line for line in lines if "Epoch" not in line), *lines[-3:]])


def assert_are_weights(file: Path) -> None:
    """Check that the file has the weights of the reference's CNN: four layers with a kernel and a bias each."""
    arrays: list[Any] = []
    with h5py.File(file) as weights:
        weights.visititems(lambda _, node: arrays.append(node[()]) if isinstance(node, h5py.Dataset) else None)
    assert len(arrays) == 8
    assert all(np.isfinite(array).all() for array in arrays)


def test_no_job_is_lost_whatever_happens_to_the_containers(
    deployed: Deployment, client: fitqueue.Client, tmp_path: Path
) -> None:
    first_workers = until(lambda: alive(client) if len(alive(client)) == WORKERS else None, TIMEOUT, "four workers")
    hosts = {worker.id: worker.host for worker in first_workers}

    short = [client.submit(cnn_job("digits", SHORT)).id for _ in range(6)]
    disturbed, undisturbed = submit_equal_jobs(client, 2, LONG, priority=1)
    until_epoch(client, disturbed, 30)  # snapshots are stored in the background: by now there is one
    [claim] = events_of(client, disturbed, CLAIMED)
    kill(hosts[claim.data["worker"]])
    events = list(client.events(disturbed, follow=True))
    [resumed] = [event for event in events if event.kind is EventKind.RESUMED] or pytest.fail(describe(events))
    assert (resumed.attempt, resumed.data["epoch"] > 0) == (2, True)
    until(lambda: len(alive_except(client, claim.data["worker"])) == WORKERS, TIMEOUT, "the killed worker is replaced")

    short += submit_equal_jobs(client, 5, priority=2)
    deployed.compose("restart", "redis")
    short += submit_equal_jobs(client, 5, priority=3)
    deployed.compose("restart", "postgres")
    until(lambda: is_database_up(client), TIMEOUT, "the database is up again")

    short += submit_equal_jobs(client, 6, priority=4)
    deployed.up(2)
    until(lambda: len(alive(client)) == 2, TIMEOUT, "two workers")
    deployed.up(WORKERS)
    until(lambda: len(alive(client)) == WORKERS, TIMEOUT, "four workers again")

    all_jobs = [disturbed, undisturbed, *short]
    assert len(all_jobs) == 24
    jobs = [client.wait(job_id) for job_id in all_jobs]
    assert {job.id: job.message for job in jobs if job.state is not JobState.SUCCEEDED} == {}
    assert len(histories(client, short)) == 1
    assert len(histories(client, [disturbed, undisturbed])) == 1, "the killed worker has changed the numbers"
    assert [row.epoch for row in client.metrics(disturbed)] == list(range(1, LONG + 1)), "each epoch counts once"

    claimed_by = {event.data["worker"] for job_id in all_jobs for event in events_of(client, job_id, CLAIMED)}
    assert set(hosts) <= claimed_by, "each of the four workers trained a job"
    for job_id in all_jobs:
        assert_are_weights(client.download(job_id, "best", tmp_path / f"{job_id}.weights.h5"))


@pytest.mark.parametrize("service", ["redis", "api", "worker"])
def test_no_program_is_root_or_can_change_its_image(deployed: Deployment, service: str) -> None:
    script = "test $(id -u) != 0 && ! touch /etc/new 2> /dev/null && ! touch /opt/new 2> /dev/null && echo passed"
    assert deployed.compose("exec", "-T", service, "sh", "-c", script) == "passed\n"


def test_passwords_are_not_in_layers_or_logs_or_lists_of_processes(deployed: Deployment) -> None:
    images = [API_IMAGE, WORKER_IMAGE]
    layers = [run("docker", "history", "--no-trunc", image) + run("docker", "inspect", image) for image in images]
    visible = "".join([*layers, deployed.compose("logs"), deployed.compose("top")])
    assert "gunicorn" in visible
    assert "The worker is ready." in visible
    assert len(deployed.secrets) == 2
    assert not [secret for secret in deployed.secrets if secret in visible]
    copied = deployed.compose("exec", "-T", "api", "ls", "--almost-all").split()
    assert set(copied) == {"fitqueue", "service", "workers", "migrations", "pyproject.toml", "README.md"}


def replicas(deployment: Deployment, *files: str) -> int:
    """Return how many workers Compose would start."""
    options = [option for file in files for option in ("--file", file)]
    config = json.loads(deployment.compose(*options, "config", "--format", "json"))
    return int(config["services"]["worker"]["deploy"]["replicas"])


@pytest.mark.parametrize("files", [(), ("docker-compose.yml", "docker-compose.gpu.yml")])
def test_the_number_of_workers_comes_from_env(tmp_path: Path, files: tuple[str, ...]) -> None:
    deployment = Deployment(tmp_path, "--workers", "4")
    assert replicas(deployment, *files) == 4
    without = [line for line in (tmp_path / ".env").read_text().splitlines() if "FITQUEUE_WORKERS" not in line]
    (tmp_path / ".env").write_text("\n".join([*without, ""]))
    assert replicas(deployment, *files) == 1, "an older .env does not name it"


def test_up_after_a_changed_setting_keeps_the_number_of_workers(deployed: Deployment, tmp_path: Path) -> None:
    deployed.compose("stop", "worker")  # two cores cannot run two sets of workers
    with deployment(tmp_path, "--workers", "2") as another:
        another.compose("build")
        another.compose("up", "--detach", "--wait")
        first = another.containers("worker")
        assert len(first) == 2
        with (tmp_path / ".env").open("a") as file:
            file.write("FITQUEUE_LOG_LEVEL=WARNING\n")
        another.compose("up", "--detach", "--wait")
        second = another.containers("worker")
        assert len(second) == 2
        assert not set(first) & set(second), "each was started anew with the changed setting"
        another.up(1)
        assert len(another.containers("worker")) == 1, "--scale goes before .env"
        another.compose("up", "--detach", "--wait")
        assert len(another.containers("worker")) == 2


def test_a_backup_is_restored_into_another_deployment(
    deployed: Deployment, client: fitqueue.Client, tmp_path: Path
) -> None:
    """With the commands of the manual, in a folder of the host that belongs to the user of the containers."""
    deployed.up(1)
    job = client.wait(client.submit(cnn_job("digits", SHORT)).id)
    best = {checkpoint.name: checkpoint.sha256 for checkpoint in client.checkpoints(job.id)}["best"]
    backups = tmp_path / "backup"
    backups.mkdir()
    backups.chmod(0o777)
    volume = ("run", "--rm", "--no-deps", "--volume")
    shown = deployed.compose(*volume, f"{backups}:/backup", "api", "fitqueue", "backup", "/backup", "--keep", "14")
    assert " is complete: " in shown
    deployed.compose("stop", "worker")  # two cores cannot run two sets of workers
    (tmp_path / "new").mkdir()
    with deployment(tmp_path / "new") as another:
        another.compose("up", "--detach", "--wait", "postgres")
        restored = another.compose(*volume, f"{backups}:/backup:ro", "api", "fitqueue", "restore", "/backup")
        assert " is restored: " in restored
        another.up(1)
        with another.client() as restored_client:
            assert restored_client.get(job.id).state is JobState.SUCCEEDED
            file = restored_client.download(job.id, "best", tmp_path / "best.weights.h5")
            assert hashlib.sha256(file.read_bytes()).hexdigest() == best
            more = restored_client.wait(restored_client.submit(cnn_job("digits", SHORT)).id)
            assert more.state is JobState.SUCCEEDED
    deployed.up(WORKERS)


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
        pytest.skip(f"this engine does not support GPUs: {error}")
    deployed.compose("stop", "worker")  # two cores cannot run two sets of workers
    # With the image for CPUs, because the one for GPUs is three times as large. An engine in a container cannot raise
    # limits.
    (tmp_path / "limits.yml").write_text("services: {worker: {ulimits: {memlock: 65536}}}")
    files = "docker-compose.yml:docker-compose.gpu.yml:limits.yml"
    with deployment(tmp_path, "--gpu", FITQUEUE_DEVICE="cpu", COMPOSE_FILE=files) as on_gpu_host:
        on_gpu_host.compose("build")
        on_gpu_host.up(2)
        workers = on_gpu_host.containers("worker")
        assert len(workers) == 2
        for worker in workers:
            # The first process shows its environment to nobody; the fork server has what trainings get.
            shown = run("docker", "exec", worker, "sh", "-c", "cat /proc/[0-9]*/environ 2> /dev/null; true")
            environment = shown.split("\0")
            assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(environment)
