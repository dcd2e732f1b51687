"""Other ways to train the same job many times, two at a time: Celery, Ray Jobs, and the plain script."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from benchmarks.common import DIGITS, PLAIN_SCRIPT, console, plain_command, run_plain, start_redis
from benchmarks.memory import pss_megabytes

ROOT: Final = Path(__file__).parents[1]
SLOTS: Final = 2
TASK: Final = "benchmarks.celery_tasks.train"


@dataclass(frozen=True)
class Throughput:
    """What a queue did.

    Attributes:
        seconds: until all jobs had ended.
        first: until the first had.
        idle_megabytes: the memory (PSS) of the idle workers after the jobs.
    """

    jobs: int
    seconds: float
    first: float
    idle_megabytes: float

    @property
    def per_minute(self) -> float:
        return 60 * self.jobs / self.seconds


def watch(name: str, count: int, ended: Callable[[], int], idle_megabytes: Callable[[], float]) -> Throughput:
    """Wait until `count` jobs have ended, show how many have, and return the seconds."""
    began, first, shown = time.perf_counter(), 0.0, -1
    while (done := ended()) < count:
        if done and not first:
            first = time.perf_counter() - began
        if done != shown:
            console.print(f"{name}: {done} of {count} jobs")
            shown = done
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    return Throughput(count, seconds, first or seconds, idle_megabytes())


# --- The plain script -----------------------------------------------------------------------------------------------


def measure_plain(count: int, epochs: int) -> Throughput:
    """Run the plain script, two processes at a time."""
    with ThreadPoolExecutor(SLOTS) as pool:
        runs = [pool.submit(run_plain, plain_command(DIGITS, epochs)) for _ in range(count)]
        throughput = watch("python train.py", count, lambda: sum(run.done() for run in runs), lambda: 0.0)
        for run in as_completed(runs):
            run.result()
    return throughput


# --- Celery ---------------------------------------------------------------------------------------------------------


def measure_celery(count: int, epochs: int, *, tasks_per_child: int | None) -> Throughput:
    """Have Celery's prefork pool run the script as a task.

    Args:
        tasks_per_child: 1 renews the process after each task, as isolation demands; None keeps it, warm from a first
            task, for all.
    """
    name = "Celery, a new child each" if tasks_per_child == 1 else "Celery, warm children"
    with _celery_worker(tasks_per_child) as (worker, train):
        if tasks_per_child is None:
            _wait_for([train(1) for _ in range(SLOTS)])
        results = [train(epochs) for _ in range(count)]
        throughput = watch(
            name, count, lambda: sum(result.ready() for result in results), lambda: pss_megabytes(worker.pid)
        )
        _wait_for(results)
    return throughput


def _wait_for(results: list[Any]) -> None:
    """Wait for all results.

    Raises:
        Exception: that of a task that failed, because its time says nothing.
    """
    for result in results:
        result.get()


@contextmanager
def _celery_worker(tasks_per_child: int | None) -> Iterator[tuple["subprocess.Popen[bytes]", Any]]:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
        redis, url = start_redis(Path(folder))
        sender = Celery(broker=url, backend=url, set_as_current=False)
        limit = [] if tasks_per_child is None else [f"--max-tasks-per-child={tasks_per_child}"]
        command = [sys.executable, "-m", "celery", "-A", "benchmarks.celery_tasks", "worker", "-P", "prefork"]
        worker = subprocess.Popen(
            [*command, "-c", str(SLOTS), "-l", "ERROR", *limit],
            cwd=ROOT, env=os.environ | {"BENCHMARK_REDIS": url}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not _answers(sender):
                if worker.poll() is not None:
                    raise SystemExit("The Celery worker ended, so there is nothing to measure.")
            yield worker, lambda epochs: sender.send_task(TASK, (DIGITS, epochs, 1e-3, 1 / 16))
        finally:
            for process in (worker, redis):
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(30)
                process.kill()
                process.wait()


def _answers(sender: Celery) -> bool:
    try:
        return bool(sender.control.ping(timeout=1.0))
    except OperationalError:  # Redis is not ready yet
        return False


# --- Ray ------------------------------------------------------------------------------------------------------------


def has_ray() -> bool:
    return find_spec("ray") is not None


def measure_ray(count: int, epochs: int) -> Throughput:
    """Submit the script to Ray Jobs, on a machine with two processors."""
    import ray
    from ray.job_submission import JobStatus, JobSubmissionClient

    context = ray.init(num_cpus=SLOTS, include_dashboard=True, log_to_driver=False)
    try:
        client = JobSubmissionClient(f"http://{context.dashboard_url}")
        command = f"{sys.executable} {PLAIN_SCRIPT} {DIGITS} {epochs} 0.001 0.0625"
        ids = [client.submit_job(entrypoint=command, entrypoint_num_cpus=1) for _ in range(count)]

        def ended() -> int:
            statuses = [client.get_job_status(job_id) for job_id in ids]
            if JobStatus.FAILED in statuses:
                raise SystemExit("A job of Ray failed, so there is nothing to measure.")
            return statuses.count(JobStatus.SUCCEEDED)

        return watch("Ray Jobs", count, ended, lambda: pss_megabytes(os.getpid()))
    finally:
        ray.shutdown()
