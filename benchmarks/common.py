"""What the benchmarks share: a stack in a temporary folder, the CNN as a job, plain runs, and a report."""

import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import fitqueue
from fitqueue.datasets import BUILTIN
from fitqueue.states import JobState
from fitqueue.views import JobView
from service.models import Job
from service.processes import free_port, redis_server
from service.stack import Stack

PLAIN_SCRIPT = Path(__file__).with_name("plain_train.py")
DIGITS = str(BUILTIN["digits"].path)
MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
console = Console(stderr=True)

Rows = list[tuple[str, str]]
Figures = dict[str, Any]


@contextmanager
def running_stack(**settings: str) -> Iterator[tuple[Stack, fitqueue.Client]]:
    """Start a stack with a warm worker: it has trained one job already."""
    with (
        tempfile.TemporaryDirectory(prefix="fitqueue-") as folder,
        Stack(Path(folder), port=0, environment=settings, echo=console.print) as stack,
    ):
        client = fitqueue.Client(stack.url, stack.token)
        require_success(client.submit(cnn_job("digits", epochs=1), wait=True))
        yield stack, client


def start_redis(folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    """Start a Redis server that keeps nothing; return its process and its address."""
    port = free_port(0)
    command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL), f"redis://127.0.0.1:{port}/0"


def columns_of(job: Job) -> dict[str, Any]:
    """Return the values of a row, from which to make many others without going through the API."""
    return {column.key: getattr(job, column.key) for column in Job.__table__.columns}


def wait_for_first_step(client: fitqueue.Client, job: JobView) -> None:
    """Wait until the job has done a step, or has ended without one."""
    while job.progress.step == 0 and job.finished_at is None:
        time.sleep(0.01)
        job = client.get(job.id)


def require_success(job: JobView) -> JobView:
    """Return the ended job; if it did not succeed, end the benchmark, because its time says nothing."""
    if job.state is not JobState.SUCCEEDED:
        raise SystemExit(f"{job.id} {job.state}, so there is nothing to measure: {job.message}")
    return job


@contextmanager
def mnist_or_synthetic(data: Path | None, samples: int | None = None) -> Iterator[Path]:
    """Yield this file, else MNIST, else random images of the same size, whose steps take as long.

    Args:
        samples: how many samples of each array the file is to have; None for all.
    """
    with _mnist_or_synthetic(data) as whole, tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        if samples is None:
            yield whole
            return
        with np.load(whole) as file:
            first = {name: file[name][:samples] for name in file}
        path = Path(folder) / whole.name
        np.savez(path, **first)
        yield path


@contextmanager
def _mnist_or_synthetic(data: Path | None) -> Iterator[Path]:
    if data is not None or MNIST.exists():
        yield data or MNIST
        return
    rng, arrays = np.random.default_rng(0), {}
    for split, count in (("train", 60_000), ("test", 10_000)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{split}"] = rng.integers(0, 10, count, dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        path = Path(folder) / "synthetic.npz"
        np.savez(path, **arrays)
        yield path


def cnn_job(
    dataset: str, epochs: int, side: int = 8, scale: float = 1 / 16, learning_rate: float = 1e-3
) -> dict[str, Any]:
    """Return the reference's CNN with its three callbacks, as a job on square grey images."""
    return {
        "model": {
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {"class_name": "Input", "config": {"shape": [side, side, 1]}},
                    _layer("Conv2D", filters=32, kernel_size=[5, 5], activation="relu", padding="same"),
                    _layer("MaxPooling2D", pool_size=[2, 2], strides=2, padding="same"),
                    _layer("Conv2D", filters=64, kernel_size=[5, 5], activation="relu", padding="same"),
                    _layer("MaxPooling2D", pool_size=[2, 2], strides=2, padding="same"),
                    _layer("Flatten"),
                    _layer("Dense", units=1024, activation="relu"),
                    _layer("Dense", units=10, activation="softmax"),
                ]
            },
        },
        "compile": {
            "optimizer": _layer("Adam", learning_rate=learning_rate),
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        "data": {
            "dataset": dataset,
            "x": "x_train",
            "y": "y_train",
            "validation": {"x": "x_test", "y": "y_test"},
            "prepare": {"x": [{"reshape": [side, side, 1]}, {"scale": scale}], "y": [{"one_hot": 10}]},
        },
        "fit": {"epochs": epochs, "batch_size": 64},
        "callbacks": [
            _layer("EarlyStopping", monitor="val_loss", patience=epochs),
            _layer(
                "ModelCheckpoint",
                filepath="ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.weights.h5",
                save_best_only=True,
                save_weights_only=True,
            ),
            _layer("ReduceLROnPlateau", monitor="val_loss", patience=epochs),
        ],
        "seed": 7,
    }


def _layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def plain_command(data: str, epochs: int, learning_rate: float = 1e-3, scale: float = 1 / 16) -> list[str]:
    """Return the command of the plain script that trains the same as `cnn_job`."""
    return [sys.executable, str(PLAIN_SCRIPT), data, str(epochs), str(learning_rate), str(scale)]


def run_plain(command: Sequence[str]) -> dict[str, float]:
    """Run the plain script; return its figures, and `seconds_to_first_step` from the start of its process."""
    started = time.time()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return {**figures, "seconds_to_first_step": figures["first_step_at"] - started}


def report(title: str, rows: Sequence[tuple[str, str]], figures: Mapping[str, Any]) -> None:
    """Print a table for people to stderr, then one JSON line to stdout."""
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    print(json.dumps({"benchmark": title, **figures}))


def measure_parts(
    title: str,
    parser: ArgumentParser,
    chosen: Sequence[str],
    parts: Mapping[str, Callable[..., tuple[Rows, Figures]]],
    figures: Figures,
    *arguments: Any,
) -> None:
    """Measure the chosen parts of a benchmark, or all of them, one after the other, and report them together.

    Args:
        title: the name of the benchmark.
        parser: says so if a part is unknown, and exits.
        chosen: names of parts; all, if empty.
        parts: what measures each part, by its name.
        figures: what the report has besides those of the parts.
        arguments: what each part is called with.
    """
    unknown = set(chosen) - set(parts)
    if unknown:
        parser.error(f"There is no part {', '.join(sorted(unknown))}; the parts are {', '.join(parts)}.")
    rows: Rows = []
    for name in chosen or parts:
        console.print(f"{name} …")
        new_rows, new_figures = parts[name](*arguments)
        for row, value in new_rows:
            console.print(f"  {row}: {value}")
        rows += new_rows
        figures |= new_figures
    report(title, rows, figures)
