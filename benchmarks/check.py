"""Measure a POST to /jobs?dry_run=true whose model Keras checks, in milliseconds, and the memory of the checker."""

import argparse
import time
from statistics import median, quantiles
from typing import Any

import psutil
from rich.progress import track

import fitqueue
from benchmarks.common import cnn_job, console, report, running_stack
from benchmarks.memory import api_process_megabytes


def encoder_decoder() -> dict[str, Any]:
    job = cnn_job("mnist", 1, side=28)
    job["data"]["prepare"]["x"] = [{"scale": 1 / 255}]
    job["model"]["config"]["layers"] = [
        {"class_name": "Input", "config": {"shape": [28, 28]}},
        {"class_name": "LSTM", "config": {"units": 128}},
        {"class_name": "RepeatVector", "config": {"n": 10}},
        {"class_name": "LSTM", "config": {"units": 128, "return_sequences": True}},
        {"class_name": "Flatten"},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
    ]
    return job


def resnet50() -> dict[str, Any]:
    job = cnn_job("cifar10", 1, side=32)
    job["data"]["prepare"]["x"] = [{"scale": 1 / 255}]
    job["model"] = {"class_name": "ResNet50", "config": {"weights": None, "input_shape": [32, 32, 3], "classes": 10}}
    return job


JOBS = {"MNIST CNN": lambda: cnn_job("mnist", 1, side=28), "LSTM": encoder_decoder, "ResNet50": resnet50}


def checked_milliseconds(client: fitqueue.Client, job: dict[str, Any]) -> float:
    began = time.perf_counter()
    assert client.submit(job, dry_run=True).model is not None
    return 1000 * (time.perf_counter() - began)


def checker_megabytes(pid: int) -> float:
    found = psutil.Process(pid).children(recursive=True)
    return sum(one.memory_full_info().pss for one in found if "workers.model_check.server" in one.cmdline()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    rows, figures = [], {}
    with running_stack() as (stack, client):
        for name, make in JOBS.items():
            job = make()
            checked_milliseconds(client, job)
            times = [checked_milliseconds(client, job) for _ in track(range(runs), name, console=console)]
            p99 = quantiles(times, n=100)[98]
            rows.append((name, f"median {median(times):.0f} ms, p99 {p99:.0f} ms"))
            figures[name] = {"median_ms": median(times), "p99_ms": p99}
        pid = stack.processes["api"].pid
        checker, api = checker_megabytes(pid), api_process_megabytes(pid)
    rows += [("checker, idle", f"{checker:.0f} MB PSS"), ("API process", f"{api:.0f} MB PSS")]
    report("check", rows, {**figures, "checker_mb": checker, "api_mb": api})


if __name__ == "__main__":
    main()
