"""Measure the seconds from the start of `fit` until the last file is stored, in a job and in a plain Keras script.

The ModelCheckpoint of the plain script writes its files within `fit`. The files of a job are written by a thread, and
some of them, such as the snapshot, after `fit`: a job is measured until it has ended, when they were read back.
"""

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import track

import fitqueue
from benchmarks.common import (
    MNIST,
    cnn_job,
    console,
    mnist_or_synthetic,
    plain_command,
    report,
    run_plain,
    running_stack,
    succeeded,
)
from fitqueue.states import EventKind, Phase

EPOCHS = 2


def train(client: fitqueue.Client, job: dict[str, Any]) -> tuple[float, float]:
    """Train a job; return the seconds from the start of `fit` until its end, and how many of them are after `fit`."""
    ended = succeeded(client.submit(job, wait=True))
    assert ended.finished_at is not None
    entered = {
        event.data["phase"]: event.at for event in client.events(ended.id) if event.kind == EventKind.PHASE_CHANGED
    }
    since = {phase: (ended.finished_at - at).total_seconds() for phase, at in entered.items()}
    return since[Phase.TRAINING], since[Phase.SAVING]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=f"MNIST as .npz; by default {MNIST}, or else data of its size")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    jobs, after, plain = [], [], []
    with mnist_or_synthetic(options.data) as data, running_stack() as (_, client):
        dataset = client.upload(data, "mnist-for-benchmark")
        job = cnn_job(dataset.id, EPOCHS, side=28, scale=1 / 255, learning_rate=1e-4)
        for _ in track(range(options.runs), "job, then python train.py", console=console):
            seconds, of_them_after = train(client, job)
            jobs.append(seconds)
            after.append(of_them_after)
            plain.append(run_plain(plain_command(str(data), EPOCHS, 1e-4, 1 / 255))["fit_seconds"])
    ratio = median(jobs) / median(plain)
    report(
        "overhead",
        [
            ("data", data.name),
            ("job, from fit to its last file", f"{median(jobs):.2f} s, {median(after):.2f} s of them after fit"),
            ("plain Keras fit, files and all", f"{median(plain):.2f} s"),
            ("ratio of medians", f"{ratio:.3f}"),
        ],
        {"data": data.name, "job_seconds": jobs, "seconds_after_fit": after, "plain_seconds": plain, "ratio": ratio},
    )


if __name__ == "__main__":
    main()
