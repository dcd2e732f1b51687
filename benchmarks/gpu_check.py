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
from benchmarks.common import cnn_job, console, report, running_stack, succeeded
from workers.supervisor.devices import NVML

EPOCHS: Final = 3
LOSS_WITHIN: Final = 0.05
"""As a share of the CPU's loss. GPUs multiply with fewer bits (TF32), and each step builds on the one before."""
ACCURACY_WITHIN: Final = 0.02
_ACCURACIES: Final = frozenset({"accuracy", "val_accuracy"})


@dataclass(frozen=True)
class Trained:
    """The results of a job: the logs of each epoch, its last weights, and the seconds of each epoch."""

    history: Sequence[Mapping[str, float | None]]
    weights: Mapping[str, Any]
    seconds: Sequence[float]


def train(client: fitqueue.Client, gpus: int, *, deterministic: bool = False) -> Trained:
    job = cnn_job("digits", EPOCHS) | {"resources": {"gpus": gpus}, "deterministic": deterministic}
    ended = succeeded(client.submit(job, wait=True))
    epochs = client.metrics(ended.id)
    with tempfile.TemporaryDirectory() as folder:
        path = client.download(ended.id, "last", Path(folder, "last.weights.h5"))
        return Trained([each.metrics for each in epochs], arrays(path), [each.seconds for each in epochs])


def arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of a file of weights, by their paths in it."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def too_different(cpu: Trained, gpu: Trained) -> list[str]:
    """Describe each value of the GPU's history that differs from the CPU's by more than it may."""
    return [
        f"epoch {number}: {name} is {there[name]} on the GPU and {here[name]} on the CPU"
        for number, (here, there) in enumerate(zip(cpu.history, gpu.history, strict=True), start=1)
        for name in here
        if not _is_near(name, here[name], there[name])
    ]


def _is_near(name: str, here: float | None, there: float | None) -> bool:
    if here is None or there is None:  # NaN, or infinite
        return False
    return abs(here - there) <= (ACCURACY_WITHIN if name in _ACCURACIES else LOSS_WITHIN * abs(here))


def not_the_same(once: Trained, again: Trained) -> list[str]:
    """Describe everything that differs, even in the last bit."""
    found = [] if list(once.history) == list(again.history) else ["two deterministic runs: the histories differ"]
    names = [name for name in once.weights if not np.array_equal(once.weights[name], again.weights[name])]
    return found + [f"two deterministic runs: the weights {name} differ" for name in names]


def check(client: fitqueue.Client, gpus: int) -> bool:
    """Train four jobs, report the comparison, and return whether everything is within the tolerance."""
    cpu, gpu = train(client, 0), train(client, gpus)
    once, again = (train(client, gpus, deterministic=True) for _ in range(2))
    faults = [*too_different(cpu, gpu), *not_the_same(once, again)]
    rows = [
        (f"loss of {EPOCHS} epochs, CPU", " ".join(f"{each['loss']:.5f}" for each in cpu.history)),
        (f"loss of {EPOCHS} epochs, GPU", " ".join(f"{each['loss']:.5f}" for each in gpu.history)),
        ("seconds of the last epoch, CPU and GPU", f"{cpu.seconds[-1]:.2f}, {gpu.seconds[-1]:.2f}"),
        ("GPU against CPU", "; ".join(too_different(cpu, gpu)) or "within the tolerance"),
        ("deterministic, twice", "; ".join(not_the_same(once, again)) or "equal to the last bit"),
    ]
    report("gpu-check", rows, {"faults": faults, "cpu": cpu.history, "gpu": gpu.history})
    return not faults


def main() -> None:
    found = NVML().list_gpus()
    if not found:
        raise SystemExit("There is no GPU on this machine, so nothing was checked.")
    console.print(f"Checking {found[0].name}, one of {len(found)} …")
    with running_stack() as (_, client):
        fit = check(client, gpus=1)
    raise SystemExit(0 if fit else 1)


if __name__ == "__main__":
    main()
