"""Whatever is killed, every job ends exactly as an undisturbed one.

`CHAOS_JOBS` is the largest number of jobs, `CHAOS_SECONDS` the time limit without start and end, `CHAOS_SEED` decides
what the killer hits, and `CHAOS_WORKERS` is the number of workers.
"""

import os
import random
import sys
from collections.abc import Callable

import pytest

from tests.chaos.cluster import Cluster, tail
from tests.chaos.report import Report
from tests.chaos.run import SETTINGS, run_chaos

JOBS = int(os.environ.get("CHAOS_JOBS", "200"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", max(400.0, 4.0 * JOBS if JOBS > 200 else 0.0)))
WORKERS = int(os.environ.get("CHAOS_WORKERS", "3"))
FAULTY_JOBS = 18
FAULTY_SECONDS = 240.0
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return a function that prints a line at once, whether pytest captures the output or not."""

    def show(text: str) -> None:
        with capfd.disabled():
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    return show


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 300)
def test_whatever_is_killed_every_job_ends_as_an_undisturbed_one(show: Callable[[str], None]) -> None:
    show(f"\nCHAOS_SEED={SEED} CHAOS_JOBS={JOBS}")
    with Cluster(workers=WORKERS, environment=SETTINGS) as cluster:
        if not cluster.disk.can_be_filled:
            show("NO DISK IS FILLED: only root can mount a small disk.")
        report = run_chaos(cluster, count=JOBS, seed=SEED, seconds=SECONDS)
        show(report.to_json())
        assert report.verdict.is_good, _explain(cluster, report)


@pytest.mark.chaos
@pytest.mark.timeout(FAULTY_SECONDS + 300)
def test_every_job_ends_well_although_one_in_a_hundred_database_calls_fails(show: Callable[[str], None]) -> None:
    """The calls of the API and the workers fail, half of them after they were done. That only costs time."""
    with Cluster(
        workers=2,
        environment=SETTINGS,
        worker_module="tests.chaos.unreliable_worker",
        api_settings="tests.chaos.unreliable_gunicorn",
    ) as cluster:
        report = run_chaos(
            cluster, count=FAULTY_JOBS, seed=SEED, seconds=FAULTY_SECONDS, deck={"notifications doubled": 1}
        )
        faults = sum(log.read_text(errors="replace").count("OperationalError") for log in cluster.logs.iterdir())
        show(report.to_json())
        assert report.verdict.is_good, _explain(cluster, report)
        assert faults >= FAULTY_JOBS, "hardly any call has failed"


def _explain(cluster: Cluster, report: Report) -> str:
    """Return everything that is known about the problems."""
    lines = [f"CHAOS_SEED={SEED}; the logs and files are in {cluster.folder}", *report.verdict.others]
    for job_id, problems in report.verdict.jobs.items():
        lines += [f"== {job_id}", *problems, "-- its events", *report.events[job_id]]
    for log in sorted(cluster.logs.iterdir()):
        lines += [f"== {log.name}", tail(log, 200 if log.name == "killer.log" else 15)]
    return "\n".join(lines)
