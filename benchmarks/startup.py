"""Measure the seconds from a POST to the first training step on a warm worker, and with `python train.py`."""

import argparse
import time
from statistics import median

from rich.progress import track

import fitqueue
from benchmarks.common import (
    DIGITS,
    cnn_job,
    console,
    plain_command,
    report,
    run_plain,
    running_stack,
    succeeded,
    until_first_step,
)


def job_seconds(client: fitqueue.Client) -> float:
    began = time.perf_counter()
    job = client.submit(cnn_job("digits", epochs=1))
    until_first_step(client, job)
    seconds = time.perf_counter() - began
    succeeded(client.wait(job.id))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    jobs, plain = [], []
    with running_stack() as (_, client):
        for _ in track(range(runs), "job, then python train.py", console=console):
            jobs.append(job_seconds(client))
            plain.append(run_plain(plain_command(DIGITS, 1))["seconds_to_first_step"])
    ratio = median(plain) / median(jobs)
    report(
        "startup",
        [
            ("POST to first step", f"{median(jobs):.2f} s (best {min(jobs):.2f}, worst {max(jobs):.2f})"),
            ("python train.py to first step", f"{median(plain):.2f} s"),
            ("times shorter", f"{ratio:.1f}"),
        ],
        {"job_seconds": jobs, "plain_seconds": plain, "median_job": median(jobs), "times_shorter": ratio},
    )


if __name__ == "__main__":
    main()
