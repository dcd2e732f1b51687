"""Measure jobs per minute of the same small job, two at a time: FitQueue, Celery, Ray Jobs and `python train.py`.

Each but the plain script is warm where it can be: FitQueue's worker and Celery's children that are not renewed have
trained a job before. `--rounds` measures all of them several times, alternating, and reports the medians.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median

import fitqueue
from benchmarks.common import cnn_job, console, report, require_success, running_stack
from benchmarks.memory import pss_megabytes
from benchmarks.queues import SLOTS, Throughput, has_ray, measure_celery, measure_plain, measure_ray, watch

EPOCHS = 3


def measure_jobs(client: fitqueue.Client, count: int, idle_megabytes: Callable[[], float] = lambda: 0.0) -> Throughput:
    """Submit so many jobs at once; return how long they took."""
    began = time.perf_counter()
    ids = [client.submit(cnn_job("digits", EPOCHS)).id for _ in range(count)]
    submitting = time.perf_counter() - began
    waiting = set(ids)

    def ended() -> int:
        for job_id in list(waiting)[:SLOTS]:
            if (job := client.get(job_id)).finished_at is not None:
                require_success(job)
                waiting.discard(job_id)
        return count - len(waiting)

    throughput = watch("FitQueue", count, ended, idle_megabytes)
    return Throughput(count, submitting + throughput.seconds, submitting + throughput.first, throughput.idle_megabytes)


def measure_fitqueue(count: int) -> Throughput:
    with running_stack(FITQUEUE_SLOTS=str(SLOTS)) as (stack, client):
        return measure_jobs(client, count, lambda: pss_megabytes(stack.processes["worker"].pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=12, help="how many jobs, and runs of the script")
    parser.add_argument("--rounds", type=int, default=1, help="how often all are measured; the medians are reported")
    parser.add_argument("--only", nargs="*", default=[], help="the names of those to measure; default: all")
    options = parser.parse_args()
    count = options.jobs
    measures: dict[str, Callable[[], Throughput]] = {
        "fitqueue": lambda: measure_fitqueue(count),
        "celery_warm": lambda: measure_celery(count, EPOCHS, tasks_per_child=None),
        "celery_isolated": lambda: measure_celery(count, EPOCHS, tasks_per_child=1),
        "plain": lambda: measure_plain(count, EPOCHS),
    }
    if has_ray():
        measures["ray"] = lambda: measure_ray(count, EPOCHS)
    unknown = set(options.only) - set(measures)
    if unknown:
        parser.error(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(measures)}.")
    chosen = {name: measure for name, measure in measures.items() if name in (options.only or measures)}
    measured: dict[str, list[Throughput]] = {name: [] for name in chosen}
    for number in range(options.rounds):
        console.print(f"round {number + 1} of {options.rounds}")
        for name, measure in chosen.items():
            measured[name].append(measure())
            console.print(f"{name}: {measured[name][-1].per_minute:.1f} jobs a minute")
    report_all(measured)


def report_all(measured: dict[str, list[Throughput]]) -> None:
    medians = {name: median(run.per_minute for run in runs) for name, runs in measured.items()}
    rows = []
    for name, runs in measured.items():
        first, memory = (median(values) for values in zip(*((r.first, r.idle_megabytes) for r in runs), strict=True))
        rows.append((name, f"{medians[name]:.1f} jobs per minute, first after {first:.1f} s, idle {memory:.0f} MB PSS"))
    ratios = {name: medians["fitqueue"] / rate for name, rate in medians.items() if "fitqueue" in medians}
    rows += [(f"FitQueue / {name}", f"{ratio:.2f} times") for name, ratio in ratios.items() if name != "fitqueue"]
    report(
        "throughput",
        rows,
        {
            "jobs_per_minute": medians,
            "fitqueue_ratio": ratios,
            "runs": {name: [asdict(run) for run in runs] for name, runs in measured.items()},
        },
    )


if __name__ == "__main__":
    main()
