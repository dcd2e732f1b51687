"""What snapshots cost a training."""

import os
import tempfile
import time
from pathlib import Path

from rich.progress import track

from benchmarks.common import cnn_job, console
from fitqueue.spec import parse_job
from fitqueue.states import Phase
from service import environment
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.supervisor.fork_server import TRAINER, ForkServer


def measure_training(module: str, data: Path, epochs: int) -> float:
    """Train the reference's MNIST CNN in a training process; return the seconds from the first batch to the end.

    Args:
        module: what the training process runs.
        data: MNIST as .npz.
        epochs: how many epochs it trains.
    """
    raw = cnn_job("mnist", epochs=epochs, side=28, scale=1 / 255, learning_rate=1e-4)
    spec = parse_job(raw, lambda _: None).spec.to_json()
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        start = Start(
            job_id="job_1", attempt=1, spec=spec, dataset_path=str(data), work_dir=folder, gpus=[], cpu_devices=1,
            threads=os.cpu_count() or 1,
        )  # fmt: skip
        began = ended = 0.0
        with ForkServer(module).spawn() as child:
            child.send(start)
            for event in child.outputs(poll=1.0):
                if isinstance(event, PhaseChanged) and event.phase is Phase.TRAINING:
                    began = time.perf_counter()
                if isinstance(event, Ended):
                    ended = time.perf_counter()
                    assert event.reason == "completed", event
    return ended - began


def measure_snapshots(data: Path, runs: int, epochs: int) -> tuple[list[float], list[float]]:
    """Return the seconds of trainings with snapshots, and of those without. They alternate."""
    os.environ.update(environment.for_children(dict(os.environ)))
    ForkServer().start()
    seconds_with, seconds_without = [], []
    for _ in track(range(runs), "with snapshots, then without", console=console):
        seconds_with.append(measure_training(TRAINER, data, epochs))
        seconds_without.append(measure_training("benchmarks.trains_without_snapshots", data, epochs))
    return seconds_with, seconds_without
