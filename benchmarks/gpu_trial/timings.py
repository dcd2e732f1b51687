"""Seconds of jobs, compared with plain Keras scripts. Only here does Keras compile with XLA."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fitqueue
from benchmarks.common import (
    DIGITS,
    cnn_job,
    mnist_or_synthetic,
    plain_command,
    require_success,
    run_plain,
    wait_for_first_step,
)
from benchmarks.gpu_trial.observations import Utilization, job_without_xla, observe

RESNET_SCRIPT = Path(__file__).parents[1] / "plain_resnet.py"


def time_first_steps(client: fitqueue.Client, gpus: int) -> None:
    """Observe the seconds until the first step of jobs with and without XLA, and of a plain script."""
    for count, xla in ((gpus, True), (gpus, False), (gpus, True), (gpus, False), (0, True)):
        job = cnn_job("digits", 1) | {"resources": {"gpus": count}} if xla else job_without_xla(1, count)
        began = time.perf_counter()
        submitted = client.submit(job)
        wait_for_first_step(client, submitted)
        seconds = time.perf_counter() - began
        require_success(client.wait(submitted.id))
        observe("POST to first step", gpus=count, xla=xla, seconds=round(seconds, 2))
    plain = run_plain(plain_command(DIGITS, 1))
    observe("python train.py to first step", seconds=round(plain["seconds_to_first_step"], 2))


def time_mnist(client: fitqueue.Client, gpus: int, data: Path | None) -> None:
    """Observe the seconds of the epochs of the MNIST CNN, twice."""
    with mnist_or_synthetic(data) as path:
        dataset = client.upload(path, "mnist-trial")
        job = cnn_job(dataset.id, 3, side=28, scale=1 / 255, learning_rate=1e-4) | {"resources": {"gpus": gpus}}
        for _ in range(2):
            with Utilization() as utilization:
                ended = require_success(client.submit(job, wait=True))
            rows = client.metrics(ended.id)
            observe(
                "MNIST CNN as a job",
                epoch_seconds=[round(row.seconds, 2) for row in rows],
                losses=[row.metrics["loss"] for row in rows],
                gpu_percent=utilization.median,
            )
            with Utilization() as utilization:
                plain = run_plain(plain_command(str(path), 3, 1e-4, 1 / 255))
            observe("MNIST CNN as a script", fit_seconds=round(plain["fit_seconds"], 2), gpu_percent=utilization.median)


def time_resnet(client: fitqueue.Client, gpus: int, samples: int) -> None:
    """Observe the seconds of the epochs of ResNet50 on so many random images of CIFAR's size."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cifar-sized.npz")
        np.savez(
            path,
            x_train=rng.integers(0, 256, (samples, 32, 32, 3), dtype=np.uint8),
            y_train=rng.integers(0, 10, samples, dtype=np.uint8),
        )
        dataset = client.upload(path, "cifar-sized")
        with Utilization() as utilization:
            ended = require_success(client.submit(_resnet_job(dataset.id, gpus, epochs=3, batch_size=128), wait=True))
        seconds = [round(row.seconds, 2) for row in client.metrics(ended.id)]
        observe("ResNet50 as a job", epoch_seconds=seconds, gpu_percent=utilization.median)
        with Utilization() as utilization:
            command = [sys.executable, str(RESNET_SCRIPT), str(path), "3"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figures = json.loads(output.splitlines()[-1])
        observe("ResNet50 as a script", **figures, gpu_percent=utilization.median)


def _resnet_job(dataset: str, gpus: int, epochs: int, batch_size: int) -> dict[str, Any]:
    return {
        "model": {"class_name": "ResNet50", "config": {"weights": None, "input_shape": [32, 32, 3], "classes": 10}},
        "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "data": {"dataset": dataset, "x": "x_train", "y": "y_train", "prepare": {"x": [{"scale": 1 / 255}]}},
        "fit": {"epochs": epochs, "batch_size": batch_size},
        "resources": {"gpus": gpus},
        "seed": 7,
    }
