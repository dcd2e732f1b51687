"""Measure the seconds that `client.fit` adds to `model.fit` on the MNIST CNN, and the bytes that it sends."""

import argparse
import os
import socket
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from rich.progress import track

import fitqueue
from benchmarks.common import console, mnist_or_synthetic, report, running_stack
from benchmarks.plain_train import load, make_callbacks, make_model

Arrays = tuple[Any, Any, Any, Any]


@dataclass
class Run:
    """What one fit took.

    Attributes:
        seconds: until it returned.
        sent: bytes that this process has sent to the service meanwhile.
    """

    seconds: float
    sent: int


def train(arrays: Arrays, epochs: int, client: fitqueue.Client | None) -> Run:
    """Train a new model, by `client.fit` or, without a client, by `model.fit`."""
    x, y, x_val, y_val = arrays
    keras.utils.set_random_seed(7)
    model = make_model(x.shape[1:], 1e-3)
    with tempfile.TemporaryDirectory() as folder, counted_bytes() as count:
        arguments = {"callbacks": make_callbacks(Path(folder), epochs), "epochs": epochs, "batch_size": 64}
        began = time.perf_counter()
        if client is None:
            model.fit(x, y, validation_data=(x_val, y_val), verbose=0, **arguments)
        else:
            client.fit(model, x, y, validation_data=(x_val, y_val), verbose=0, seed=7, **arguments)
        return Run(time.perf_counter() - began, count[0])


@contextmanager
def counted_bytes() -> Iterator[list[int]]:
    """Count the bytes that this process sends by sockets, meanwhile."""
    count, send, sendall = [0], socket.socket.send, socket.socket.sendall

    def counting_send(self: socket.socket, data: Any, *arguments: Any) -> int:
        sent = send(self, data, *arguments)
        count[0] += sent
        return sent

    def counting_sendall(self: socket.socket, data: Any, *arguments: Any) -> None:
        sendall(self, data, *arguments)
        count[0] += len(data)

    socket.socket.send, socket.socket.sendall = counting_send, counting_sendall  # type: ignore[method-assign, assignment]
    try:
        yield count
    finally:
        socket.socket.send, socket.socket.sendall = send, sendall  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of model.fit, a first and a second client.fit each")
    parser.add_argument("--samples", type=int, default=12_000, help="how many images to train on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--data", type=Path, help="an .npz with x_train, y_train, x_test, y_test")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="The checkpoint .* becomes a file of the job")
    plain, first, second = [], [], []
    with mnist_or_synthetic(options.data, options.samples) as path, running_stack() as (_, client):
        x, y, x_val, y_val = load(str(path), 1 / 255)
        for run in track(range(options.runs), "model.fit, then client.fit twice", console=console):
            x[0, 0, 0, 0] = run / 255  # other content, so that the first call has to send it
            arrays = x, y, x_val, y_val
            plain.append(train(arrays, options.epochs, None))
            first.append(train(arrays, options.epochs, client))
            second.append(train(arrays, options.epochs, client))
    seconds = {"plain": plain, "first": first, "second": second}
    medians = {name: median(run.seconds for run in runs) for name, runs in seconds.items()}
    report(
        "fit",
        [
            ("model.fit", f"{medians['plain']:.2f} s"),
            *((f"client.fit, {call} call", line(medians, call, runs)) for call, runs in list(seconds.items())[1:]),
        ],
        {
            "samples": options.samples,
            "epochs": options.epochs,
            "seconds": {name: [run.seconds for run in runs] for name, runs in seconds.items()},
            "medians": medians,
            "bytes_sent": {name: [run.sent for run in runs] for name, runs in seconds.items()},
        },
    )


def line(medians: dict[str, float], call: str, runs: list[Run]) -> str:
    """Return what a call took, what it adds, and what it sent."""
    added = medians[call] - medians["plain"]
    return f"{medians[call]:.2f} s ({added:+.2f} s), {median(run.sent for run in runs) / 1e6:.1f} MB sent"


if __name__ == "__main__":
    main()
