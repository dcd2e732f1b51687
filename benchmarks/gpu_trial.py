"""Try FitQueue on a real GPU, in parts that stand alone: `python -m benchmarks.gpu_trial --seconds 330`.

Each part prints one JSON line per observation, and a part that fails does not keep the next from running. With `--cpu`
the same parts run without a GPU, which tests the program itself. Only the parts about seconds let Keras compile with
XLA: on a GPU that takes 20 s for each job.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

import fitqueue
from benchmarks import gpu_check
from benchmarks.common import cnn_job, console, plain_command, run_plain, running_stack, succeeded, until_first_step
from fitqueue.datasets import BUILTIN
from fitqueue.reports import EpochEnded
from fitqueue.spec import parse_job
from fitqueue.states import EventKind, JobState
from service import environment
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.supervisor.child import Child
from workers.supervisor.child_output import LogLines
from workers.supervisor.devices import NVML
from workers.supervisor.fork_server import ForkServer

BEGAN = time.monotonic()
RESNET_SCRIPT = Path(__file__).with_name("plain_resnet.py")
nvml = NVML()


def tell(**what: Any) -> None:
    """Print one JSON line."""
    print(json.dumps({"at": round(time.monotonic() - BEGAN, 1), **what}, default=str), flush=True)


def plain_job(epochs: int, gpus: int) -> dict[str, Any]:
    """Return the reference's CNN on digits as a job, without XLA."""
    job = cnn_job("digits", epochs) | {"resources": {"gpus": gpus}}
    return job | {"compile": job["compile"] | {"jit_compile": False}}


def gpu_memory() -> int:
    """Return how many MiB of the first GPU are in use."""
    gpus = nvml.list_gpus()
    return gpus[0].used_bytes >> 20 if gpus else 0


class Utilization:
    """Samples the use of the first GPU, in percent, while it is entered."""

    def __enter__(self) -> "Utilization":
        self._samples: list[int] = []
        self._done = Event()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        try:
            import pynvml

            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:
            return
        while not self._done.wait(0.2):
            self._samples.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    @property
    def median(self) -> float | None:
        busy = self._samples
        return float(np.median(busy)) if busy else None


# --- 1. A forked child trains on the GPU ---------------------------------------------------------------------------


def forked_children(gpus: list[str]) -> None:
    began = time.perf_counter()
    fork_server = ForkServer()
    fork_server.start()
    tell(part=1, what="fork server ready", seconds=round(time.perf_counter() - began, 2))
    tell(part=1, what="GPU memory before", mib=gpu_memory())
    for number in (1, 2):
        run_child(fork_server, gpus, f"child {number}")
    run_child(fork_server, gpus, "child to kill", kill=True)
    run_child(fork_server, gpus, "child after the killed one")
    run_child(fork_server, [], "child on the CPU")


def run_child(fork_server: ForkServer, gpus: list[str], name: str, *, kill: bool = False) -> None:
    job = plain_job(3, len(gpus)) | {"callbacks": []}
    spec = parse_job(job, lambda _: None).spec.to_json()
    with tempfile.TemporaryDirectory() as folder, fork_server.spawn() as child:
        began = time.perf_counter()
        child.send(
            Start(job_id="job", attempt=1, spec=spec, dataset_path=None, work_dir=folder, gpus=gpus, cpu_devices=1,
                  threads=0)
        )  # fmt: skip
        moments, lines = follow(child, began, kill)
    tell(part=1, what=name, exit_code=child.exit_code, moments=moments)
    if child.exit_code and not kill:
        tell(part=1, what="its last lines", lines=lines[-15:])
    for _ in range(20):
        if gpu_memory() < 100:
            break
        time.sleep(0.1)
    tell(part=1, what=f"GPU memory after {name}", mib=gpu_memory())


def follow(child: Child, began: float, kill: bool) -> tuple[dict[str, Any], list[str]]:
    moments: dict[str, Any] = {}
    lines: list[str] = []
    for event in child.events(poll=1.0):
        now = round(time.perf_counter() - began, 3)
        match event:
            case PhaseChanged():
                moments[str(event.phase)] = now
            case EpochEnded():
                moments[f"epoch {event.epoch}"] = now
                moments["memory"] = gpu_memory()
                if kill:
                    child.signal(signal.SIGKILL)
            case Ended():
                moments["ended"] = (now, str(event.reason), event.message[:500])
            case LogLines():
                lines += event.lines
    return moments, lines


# --- 3. Claims -----------------------------------------------------------------------------------------------------


def claims(stack: Any, client: fitqueue.Client, gpus: list[str]) -> None:
    count = len(gpus[:1])
    program = stack._programs["worker"]
    with tempfile.TemporaryFile() as log:
        second = subprocess.Popen(
            program.command, env=dict(program.environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            while sum(worker.alive for worker in client.workers()) < 2:
                time.sleep(0.2)
            tell(part=3, what="two workers", workers=[(w.id, w.devices, w.gpus) for w in client.workers()])
            ids = [client.submit(plain_job(15, count)).id for _ in range(3)]
            beside = client.submit(plain_job(15, 0)).id
            held, devices = watch_claims(stack, client, [*ids, beside])
            tell(part=3, what="GPUs held at once, at most", most=max(held, default=0), looks=len(held))
            tell(part=3, what="open GPU devices, by job", devices=devices)
            for job_id in [*ids, beside]:
                job = client.get(job_id)
                claimed = [e.data for e in client.events(job_id) if e.kind is EventKind.CLAIMED]
                tell(part=3, job=job_id, state=str(job.state), claimed=claimed, started=job.started_at,
                     finished=job.finished_at)  # fmt: skip
            runs = sorted((client.get(i).started_at, client.get(i).finished_at) for i in ids)
            overlaps = [b[0] < a[1] for a, b in itertools.pairwise(runs)]
            tell(part=3, what="do runs of GPU jobs overlap", overlaps=overlaps)
        finally:
            second.terminate()
            second.wait(30)


def watch_claims(stack: Any, client: fitqueue.Client, ids: list[str]) -> tuple[list[int], dict[str, int]]:
    """Return the number of held GPUs at each look, and the most GPU devices that each job's process had open."""
    held: list[int] = []
    devices: dict[str, int] = {}
    while any(not client.get(job_id).state.is_final for job_id in ids):
        held.append(sum(len(worker.gpus_held) for worker in client.workers()))
        for job_id, pid in training_processes(stack).items():
            devices[job_id] = max(open_gpus(pid), devices.get(job_id, 0))
        time.sleep(0.2)
    return held, devices


def training_processes(stack: Any) -> dict[str, int]:
    """Return the pid of each job's training process, from the files that workers write for the reaper."""
    processes = {}
    for note in Path(stack.folder, "work").glob("*/*/process"):
        try:
            processes[note.parent.name.rpartition(".")[0]] = int(note.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            continue
    return processes


def open_gpus(pid: int) -> int:
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            count += str(descriptor.readlink()).startswith("/dev/nvidia")
        except OSError:
            continue
    return count


# --- 4. Seconds ----------------------------------------------------------------------------------------------------


def first_steps(client: fitqueue.Client, gpus: int) -> None:
    for count, xla in ((gpus, True), (gpus, False), (gpus, True), (gpus, False), (0, True)):
        job = cnn_job("digits", 1) | {"resources": {"gpus": count}} if xla else plain_job(1, count)
        began = time.perf_counter()
        view = client.submit(job)
        until_first_step(client, view)
        seconds = time.perf_counter() - began
        succeeded(client.wait(view.id))
        tell(part=4, what="POST to first step", gpus=count, xla=xla, seconds=round(seconds, 2))
    plain = run_plain(plain_command(str(BUILTIN["digits"].path), 1))
    tell(part=4, what="python train.py to first step", seconds=round(plain["seconds_to_first_step"], 2))


def mnist_epochs(client: fitqueue.Client, gpus: int, data: Path) -> None:
    dataset = client.upload(data, "mnist-trial")
    job = cnn_job(dataset.id, 3, side=28, scale=1 / 255, learning_rate=1e-4) | {"resources": {"gpus": gpus}}
    for _ in range(2):
        with Utilization() as use:
            ended = succeeded(client.submit(job, wait=True))
        rows = client.metrics(ended.id)
        tell(part=4, what="MNIST CNN, job", seconds=[round(r.seconds, 2) for r in rows], gpu_use=use.median,
             losses=[r.metrics["loss"] for r in rows])  # fmt: skip
        with Utilization() as use:
            figures = run_plain(plain_command(str(data), 3, 1e-4, 1 / 255))
        tell(part=4, what="MNIST CNN, plain", fit_seconds=round(figures["fit_seconds"], 2), gpu_use=use.median)


def resnet_job(dataset: str, gpus: int, epochs: int, batch: int) -> dict[str, Any]:
    return {
        "model": {"class_name": "ResNet50", "config": {"weights": None, "input_shape": [32, 32, 3], "classes": 10}},
        "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "data": {"dataset": dataset, "x": "x_train", "y": "y_train", "prepare": {"x": [{"scale": 1 / 255}]}},
        "fit": {"epochs": epochs, "batch_size": batch},
        "resources": {"gpus": gpus},
        "seed": 7,
    }


def resnet_epochs(client: fitqueue.Client, gpus: int, samples: int) -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cifar-sized.npz")
        np.savez(
            path,
            x_train=random.integers(0, 256, (samples, 32, 32, 3), dtype=np.uint8),
            y_train=random.integers(0, 10, samples, dtype=np.uint8),
        )
        dataset = client.upload(path, "cifar-sized")
        for _ in range(1):
            with Utilization() as use:
                ended = succeeded(client.submit(resnet_job(dataset.id, gpus, 3, 128), wait=True))
            seconds = [round(r.seconds, 2) for r in client.metrics(ended.id)]
            tell(part=4, what="ResNet50, job", seconds=seconds, gpu_use=use.median)
            with Utilization() as use:
                output = subprocess.run(
                    [sys.executable, str(RESNET_SCRIPT), str(path), "3"], check=True, capture_output=True, text=True
                ).stdout
            tell(part=4, what="ResNet50, plain", figures=json.loads(output.splitlines()[-1]), gpu_use=use.median)


# --- 5. Kills and memory -------------------------------------------------------------------------------------------


def killed_and_resumed(stack: Any, client: fitqueue.Client, gpus: int) -> None:
    job = cnn_job("digits", 12) | {"deterministic": True, "resources": {"gpus": gpus}}
    whole = succeeded(client.submit(job, wait=True))
    for what in ("child", "worker"):
        view = client.submit(job)
        while client.get(view.id).progress.epoch < 5:
            time.sleep(0.05)
        pid = training_processes(stack)[view.id] if what == "child" else stack.processes["worker"].pid
        os.kill(pid, signal.SIGKILL)
        while not (ended := client.get(view.id)).state.is_final:
            stack.supervise()
            time.sleep(0.3)
        resumed = [e.message for e in client.events(view.id) if e.kind in {EventKind.RESUMED, EventKind.REQUEUED}]
        equal = [r.metrics for r in client.metrics(view.id)] == [r.metrics for r in client.metrics(whole.id)]
        tell(part=5, what=f"killed the {what}", state=str(ended.state), attempts=ended.attempt, equal=equal,
             events=resumed)  # fmt: skip
    tell(part=5, what="GPU memory after", mib=gpu_memory())


def out_of_memory(client: fitqueue.Client, gpus: int) -> None:
    layers = [
        {"class_name": "Input", "config": {"shape": [8, 8]}},
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Dense", "config": {"units": 30_000_000, "activation": "tanh"}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
    ]
    job = {
        "model": {"class_name": "Sequential", "config": {"layers": layers}},
        "compile": {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"},
        "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
        "fit": {"epochs": 1, "batch_size": 1437},
        "resources": {"gpus": gpus},
    }
    began = time.perf_counter()
    ended = client.submit(job, wait=True)
    tell(part=5, what="too large a batch", state=str(ended.state), reason=str(ended.reason), attempts=ended.attempt,
         seconds=round(time.perf_counter() - began, 1), message=(ended.message or "")[:600])  # fmt: skip
    following = client.submit(plain_job(1, gpus), wait=True)
    tell(part=5, what="the next job", state=str(following.state), memory=gpu_memory())
    assert following.state is JobState.SUCCEEDED


# --- All of it -----------------------------------------------------------------------------------------------------


@contextmanager
def alone(name: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    except BaseException as error:
        tell(part=name, failed=f"{type(error).__name__}: {error}"[:800])
        traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            raise
    tell(part=name, what="ended", seconds=round(time.perf_counter() - began, 1))


def within(seconds: float, name: str, act: Callable[[], None], needs: float) -> None:
    if time.monotonic() - BEGAN + needs > seconds:
        tell(part=name, what="left out: no time")
        return
    with alone(name):
        act()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--samples", type=int, default=10_000)
    given = parser.parse_args()
    gpus = [] if given.cpu else nvml.list_gpus()
    tell(what="GPUs", gpus=[(gpu.name, gpu.uuid, gpu.used_bytes >> 20) for gpu in gpus], cpus=os.cpu_count())
    uuids, count = [gpu.uuid for gpu in gpus], min(1, len(gpus))
    os.environ.update(environment.for_children(os.environ))
    with alone("1 forked children"):
        forked_children(uuids)
    with alone("stack"), running_stack(FITQUEUE_LEASE_SECONDS="5") as (stack, client):
        tell(what="stack is ready")
        try:
            parts: list[tuple[str, Callable[[], None], float]] = [
                ("2 gpu_check", lambda: tell(part=2, passed=gpu_check.check(client, count)), 45),
                ("5 kills", lambda: killed_and_resumed(stack, client, count), 55),
                ("3 claims", lambda: claims(stack, client, uuids), 45),
                ("5 out of memory", lambda: out_of_memory(client, count), 20),
                ("4 first steps", lambda: first_steps(client, count), 90),
                ("4 MNIST", lambda: mnist_epochs(client, count, given.mnist), 130),
                ("4 ResNet50", lambda: resnet_epochs(client, count, given.samples), 120),
            ]
            for name, act, needs in parts:
                within(given.seconds, name, act, needs)
        finally:
            for name in ("api", "worker"):
                log = (stack.folder / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
                warnings = [line[:400] for line in log if '"level": "INFO"' not in line]
                console.print(
                    f"{name}.log, without INFO: {len(warnings)} lines", *warnings[-25:], sep="\n", markup=False
                )


if __name__ == "__main__":
    main()
