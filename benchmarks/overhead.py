"""Seconds of `fit` inside a job, callbacks and metrics included, against a plain Keras script doing the same."""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from rich.progress import track

import fitqueue
from benchmarks.common import cnn_job, console, plain_command, report, run_plain, running_stack
from fitqueue.states import EventKind, Phase

EPOCHS = 2


def synthetic_mnist(folder: Path) -> Path:
    """Random images of MNIST's size: the cost of a step does not depend on what is in them."""
    random = np.random.default_rng(0)
    path = folder / "synthetic.npz"
    arrays = {}
    for part, count in (("train", 60_000), ("test", 10_000)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = random.integers(0, 10, count, dtype=np.uint8)
    np.savez(path, **arrays)
    return path


def fit_seconds(client: fitqueue.Client, job_id: str) -> float:
    """From the moment before `fit` to the moment after it, as the job's own events have them."""
    entered = {
        event.data["phase"]: event.at for event in client.events(job_id) if event.kind == EventKind.PHASE_CHANGED
    }
    return (entered[Phase.SAVING] - entered[Phase.TRAINING]).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="MNIST as .npz; synthetic data of its size where it is not given")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    jobs, plain = [], []
    with tempfile.TemporaryDirectory() as folder, running_stack() as (_, client):
        data = options.data or synthetic_mnist(Path(folder))
        dataset = client.upload(data, "mnist-for-benchmark")
        job = cnn_job(dataset.id, EPOCHS, side=28, scale=1 / 255, learning_rate=1e-4)
        for _ in track(range(options.runs), "job, then python train.py", console=console):
            jobs.append(fit_seconds(client, client.wait(client.submit(job).id).id))
            plain.append(run_plain(plain_command(str(data), EPOCHS, 1e-4, 1 / 255))["fit_seconds"])
    ratio = median(jobs) / median(plain)
    report(
        "overhead",
        [
            ("fit inside a job", f"{median(jobs):.2f} s"),
            ("plain Keras fit", f"{median(plain):.2f} s"),
            ("ratio of medians", f"{ratio:.3f}"),
        ],
        {"job_seconds": jobs, "plain_seconds": plain, "ratio": ratio},
    )


if __name__ == "__main__":
    main()
