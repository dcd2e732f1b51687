"""Measure the seconds until the first, the median and the last of many POSTs that are sent at once are answered."""

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Barrier
from typing import Any

import fitqueue
from benchmarks.check import JOBS
from benchmarks.common import console, report, running_stack
from service.check_queue import MAX_PER_TOKEN


def submit_at_once(client: fitqueue.Client, job: dict[str, Any], count: int) -> dict[str, float]:
    """Return the figures of `count` dry runs of a job. One that the service refuses ends the benchmark."""
    start = Barrier(count)

    def submit(_: int) -> tuple[float, bool]:
        start.wait()
        began = time.perf_counter()
        is_checked = client.submit(job, dry_run=True).model is not None
        return time.perf_counter() - began, is_checked

    with ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(submit, range(count)))
    seconds = sorted(waited for waited, _ in answers)
    return {
        "first_seconds": seconds[0],
        "median_seconds": median(seconds),
        "last_seconds": seconds[-1],
        "unchecked": sum(not is_checked for _, is_checked in answers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=MAX_PER_TOKEN, help="POSTs at once")
    count = parser.parse_args().count
    processors = len(os.sched_getaffinity(0))
    rows, figures = [], {}
    with running_stack() as (_, client):
        for name, make_job in JOBS.items():
            console.print(f"{name}: {count} POSTs at once …")
            job = make_job()
            client.submit(job, dry_run=True)  # the first one is slower
            figures[name] = measured = submit_at_once(client, job, count)
            waits = ", ".join(f"{which} {measured[f'{which}_seconds']:.1f} s" for which in ("first", "median", "last"))
            rows.append((name, f"{waits}, {measured['unchecked']:.0f} unchecked"))
    report("checks at once", rows, {"count": count, "processors": processors, **figures})


if __name__ == "__main__":
    main()
