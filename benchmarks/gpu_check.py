"""Compare the reference's CNN on this machine's GPU with the CPU, and two deterministic jobs with each other.

`make gpu-check` runs it. It exits with 1 if there is no GPU, or if something differs by more than it may.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

import fitqueue
from benchmarks.common import cnn_job, console, report, require_success, running_stack
from workers.supervisor.devices import NVML

EPOCHS: Final = 3
LOSS_TOLERANCE: Final = 0.05
"""As a share of the CPU's loss. GPUs multiply with fewer bits (TF32), and each step builds on the one before."""
ACCURACY_TOLERANCE: Final = 0.02
_ACCURACIES: Final = frozenset({"accuracy", "val_accuracy"})


@dataclass(frozen=True)
class Training:
    """The results of a job: the logs of each epoch, its last weights, and the seconds of each epoch."""

    history: Sequence[Mapping[str, float | None]]
    weights: Mapping[str, Any]
    seconds: Sequence[float]


def train(client: fitqueue.Client, gpus: int, *, deterministic: bool = False) -> Training:
    job = cnn_job("digits", EPOCHS) | {"resources": {"gpus": gpus}, "deterministic": deterministic}
    ended = require_success(client.submit(job, wait=True))
    rows = client.metrics(ended.id)
    with tempfile.TemporaryDirectory() as folder:
        path = client.download(ended.id, "last", Path(folder, "last.weights.h5"))
        return Training([row.metrics for row in rows], read_weights(path), [row.seconds for row in rows])


def read_weights(path: Path) -> dict[str, Any]:
    """Return the arrays of a file of weights, by their paths in it."""
    arrays: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return arrays


def compare_devices(cpu: Training, gpu: Training) -> list[str]:
    """Describe each value of the GPU's history that differs from the CPU's by more than it may."""
    return [
        f"epoch {number}: {name} is {on_gpu[name]} on the GPU and {on_cpu[name]} on the CPU"
        for number, (on_cpu, on_gpu) in enumerate(zip(cpu.history, gpu.history, strict=True), start=1)
        for name in on_cpu
        if not _is_close(name, on_cpu[name], on_gpu[name])
    ]


def _is_close(name: str, on_cpu: float | None, on_gpu: float | None) -> bool:
    if on_cpu is None or on_gpu is None:  # NaN or infinite
        return False
    return abs(on_cpu - on_gpu) <= (ACCURACY_TOLERANCE if name in _ACCURACIES else LOSS_TOLERANCE * abs(on_cpu))


def compare_runs(first: Training, second: Training) -> list[str]:
    """Describe everything that differs, even in the last bit."""
    differences = []
    if list(first.history) != list(second.history):
        differences.append("two deterministic runs: the histories differ")
    for name, weights in first.weights.items():
        if not np.array_equal(weights, second.weights[name]):
            differences.append(f"two deterministic runs: the weights {name} differ")
    return differences


def compare(client: fitqueue.Client, gpus: int) -> bool:
    """Train four jobs, report the comparison, and return whether everything is within the tolerance."""
    cpu, gpu = train(client, 0), train(client, gpus)
    first, second = (train(client, gpus, deterministic=True) for _ in range(2))
    between_devices, between_runs = compare_devices(cpu, gpu), compare_runs(first, second)
    rows = [
        (f"loss of {EPOCHS} epochs, CPU", " ".join(f"{logs['loss']:.5f}" for logs in cpu.history)),
        (f"loss of {EPOCHS} epochs, GPU", " ".join(f"{logs['loss']:.5f}" for logs in gpu.history)),
        ("seconds of the last epoch, CPU and GPU", f"{cpu.seconds[-1]:.2f}, {gpu.seconds[-1]:.2f}"),
        ("GPU compared with CPU", "; ".join(between_devices) or "within the tolerance"),
        ("two deterministic runs", "; ".join(between_runs) or "equal to the last bit"),
    ]
    differences = [*between_devices, *between_runs]
    report("gpu-check", rows, {"differences": differences, "cpu": cpu.history, "gpu": gpu.history})
    return not differences


def main() -> None:
    gpus = NVML().list_gpus()
    if not gpus:
        raise SystemExit("There is no GPU on this machine, so nothing was checked.")
    console.print(f"Checking {gpus[0].name}, one of {len(gpus)} …")
    with running_stack() as (_, client):
        is_passed = compare(client, gpus=1)
    raise SystemExit(0 if is_passed else 1)


if __name__ == "__main__":
    main()
