"""Measure a job from the start of `fit` until its last file is stored, and a plain Keras script that trains the same.

Trainings of four sizes: an epoch of them takes about 0.2, 2, 8 and 40 s on two cores. The ModelCheckpoint of the plain
script writes its files within `fit`. The files of a job are written by a thread, and some of them, such as the
snapshot, after `fit`: a job is measured until it has ended, when they were read back. The CPU seconds of a job are
those of the worker and of all its processes from the POST to the end, those of the script are those of `fit`.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import psutil
from rich.progress import Progress

import fitqueue
from benchmarks.common import (
    MNIST,
    cnn_job,
    console,
    mnist_or_synthetic,
    plain_command,
    report,
    require_success,
    run_plain,
    running_stack,
)
from fitqueue.states import EventKind, Phase

EPOCHS: Final = {300: 20, 3_000: 6, 12_000: 3, 60_000: 2}
"""How many epochs are trained, by the number of samples."""


@dataclass(frozen=True)
class Run:
    """Seconds of one training."""

    seconds: float
    cpu_seconds: float
    seconds_after_fit: float = 0.0


def cpu_seconds(worker: psutil.Process) -> float:
    """Return the CPU seconds of the worker and its processes, with those of their ended children."""
    processes = [worker, *worker.children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes)


def train(client: fitqueue.Client, job: dict[str, Any], worker: psutil.Process) -> Run:
    before = cpu_seconds(worker)
    ended = require_success(client.submit(job, wait=True))
    assert ended.finished_at is not None
    entered_at = {
        event.data["phase"]: event.at for event in client.events(ended.id) if event.kind == EventKind.PHASE_CHANGED
    }
    since = {phase: (ended.finished_at - at).total_seconds() for phase, at in entered_at.items()}
    return Run(since[Phase.TRAINING], cpu_seconds(worker) - before, since[Phase.SAVING])


def train_plainly(data: Path, epochs: int) -> Run:
    figures = run_plain(plain_command(str(data), epochs, 1e-4, 1 / 255))
    return Run(figures["fit_seconds"], figures["fit_cpu_seconds"])


def write_first(data: Path, samples: int, folder: Path) -> Path:
    """Write the first samples, and a sixth as many to validate with, as in MNIST."""
    path = folder / f"first-{samples}.npz"
    with np.load(data) as arrays:
        ends = {"x_train": samples, "y_train": samples, "x_test": samples // 6, "y_test": samples // 6}
        np.savez(path, **{name: arrays[name][:end] for name, end in ends.items()})
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=f"MNIST as .npz; default: {MNIST}, or else synthetic data")
    parser.add_argument("--runs", type=int, default=3, help="trainings of each kind and size")
    parser.add_argument("--samples", type=int, nargs="+", choices=EPOCHS, default=list(EPOCHS), help="the sizes")
    options = parser.parse_args()
    rows, figures = [], {}
    with (
        mnist_or_synthetic(options.data) as data,
        tempfile.TemporaryDirectory(prefix="fitqueue-") as folder,
        running_stack() as (stack, client),
        Progress(console=console) as progress,
    ):
        worker = psutil.Process(stack.processes["worker"].pid)
        for samples in options.samples:
            jobs, plain = [], []
            path, epochs = write_first(data, samples, Path(folder)), EPOCHS[samples]
            job = cnn_job(client.upload(path).id, epochs, side=28, scale=1 / 255, learning_rate=1e-4)
            for _ in progress.track(range(options.runs), description=f"{samples:,} samples: job, then python train.py"):
                jobs.append(train(client, job, worker))
                plain.append(train_plainly(path, epochs))
            figures[samples] = summary(jobs, plain, epochs)
            rows.append((f"{samples:,} samples", words(figures[samples])))
    report("overhead", rows, {"data": data.name, "runs": options.runs, "by_samples": figures})


def summary(jobs: list[Run], plain: list[Run], epochs: int) -> dict[str, float]:
    job_seconds, plain_seconds = (median(run.seconds for run in runs) for runs in (jobs, plain))
    return {
        "epochs": epochs,
        "job_seconds_an_epoch": job_seconds / epochs,
        "plain_seconds_an_epoch": plain_seconds / epochs,
        "ratio": job_seconds / plain_seconds,
        "seconds_after_fit": median(run.seconds_after_fit for run in jobs),
        "job_cpu_seconds": median(run.cpu_seconds for run in jobs),
        "plain_cpu_seconds": median(run.cpu_seconds for run in plain),
    }


def words(figures: dict[str, float]) -> str:
    job, plain = figures["job_seconds_an_epoch"], figures["plain_seconds_an_epoch"]
    seconds = f"{figures['ratio']:.2f}: {job:.2f} s an epoch against {plain:.2f} s in plain Keras"
    return f"{seconds}; CPU {figures['job_cpu_seconds']:.0f} s against {figures['plain_cpu_seconds']:.0f} s"


if __name__ == "__main__":
    main()
