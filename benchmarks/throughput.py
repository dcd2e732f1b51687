"""Measure the jobs per minute of 20 digits jobs in two slots, and of `python train.py`, two at a time."""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from rich.progress import track

import fitqueue
from benchmarks.common import DIGITS, cnn_job, console, plain_command, report, run_plain, running_stack, succeeded

EPOCHS = 3


def seconds_of_jobs(client: fitqueue.Client, count: int) -> float:
    began = time.perf_counter()
    ids = [client.submit(cnn_job("digits", EPOCHS)).id for _ in range(count)]
    for job_id in track(ids, "jobs", console=console):
        succeeded(client.wait(job_id))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    count = parser.parse_args().jobs

    with running_stack(FITQUEUE_SLOTS="2") as (_, client):
        jobs_seconds = seconds_of_jobs(client, count)

    began = time.perf_counter()
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = pool.map(lambda _: run_plain(plain_command(DIGITS, EPOCHS)), range(count))
        for _ in track(runs, "python train.py", total=count, console=console):
            pass
    plain_seconds = time.perf_counter() - began

    ratio = plain_seconds / jobs_seconds
    report(
        "throughput",
        [
            ("FitQueue", f"{60 * count / jobs_seconds:.1f} jobs a minute"),
            ("python train.py", f"{60 * count / plain_seconds:.1f} jobs a minute"),
            ("times as many", f"{ratio:.1f}"),
        ],
        {"jobs_per_minute": 60 * count / jobs_seconds, "plain_per_minute": 60 * count / plain_seconds, "ratio": ratio},
    )


if __name__ == "__main__":
    main()
