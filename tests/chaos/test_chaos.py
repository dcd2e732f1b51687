"""Everything is killed at random, and every job ends as one that was left in peace.

`CHAOS_JOBS` sets how many jobs there are at most, `CHAOS_SECONDS` how long it may take, start and end apart,
`CHAOS_SEED` whom the killer hits, and `CHAOS_WORKERS` how many train.
"""

import os
import random
import sys
from collections.abc import Callable

import pytest

from tests.chaos.cluster import Cluster, tail
from tests.chaos.run import SETTINGS, Report, as_line, chaos

JOBS = int(os.environ.get("CHAOS_JOBS", "200"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", max(400.0, 4.0 * JOBS if JOBS > 200 else 0.0)))
WORKERS = int(os.environ.get("CHAOS_WORKERS", "3"))
FAULTY_JOBS = 18
FAULTY_SECONDS = 240.0
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Tells whoever waits, at once, whether pytest captures or not."""

    def say(text: str) -> None:
        with capfd.disabled():
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    return say


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 300)
def test_whatever_is_killed_every_job_ends_as_one_that_was_left_in_peace(say: Callable[[str], None]) -> None:
    say(f"\nCHAOS_SEED={SEED} CHAOS_JOBS={JOBS}")
    with Cluster(workers=WORKERS, environment=SETTINGS) as cluster:
        if not cluster.disk.can_be_filled:
            say("NO DISK IS FILLED: a small one can be mounted by root alone.")
        report = chaos(cluster, count=JOBS, seed=SEED, seconds=SECONDS)
        say(as_line(report))
        assert report.verdict.is_good, _told(cluster, report)


@pytest.mark.chaos
@pytest.mark.timeout(FAULTY_SECONDS + 300)
def test_one_call_in_a_hundred_of_the_database_fails(say: Callable[[str], None]) -> None:
    """For the API and the workers, half of the calls after they were done: nobody notices but by the time."""
    with Cluster(
        workers=2,
        environment=SETTINGS,
        worker_module="tests.chaos.unreliable_worker",
        api_settings="tests.chaos.unreliable_gunicorn",
    ) as cluster:
        report = chaos(cluster, count=FAULTY_JOBS, seed=SEED, seconds=FAULTY_SECONDS, deck={"bells doubled": 1})
        faults = sum(log.read_text(errors="replace").count("OperationalError") for log in cluster.logs.iterdir())
        say(as_line(report))
        assert report.verdict.is_good, _told(cluster, report)
        assert faults >= FAULTY_JOBS, "hardly a call has failed"


def _told(cluster: Cluster, report: Report) -> str:
    """All that is known of what went wrong."""
    lines = [f"CHAOS_SEED={SEED}; the logs and files are in {cluster.folder}", *report.verdict.others]
    for job_id, faults in report.verdict.jobs.items():
        lines += [f"== {job_id}", *faults, "-- its events", *report.histories[job_id]]
    for log in sorted(cluster.logs.iterdir()):
        lines += [f"== {log.name}", tail(log, 200 if log.name == "killer.log" else 15)]
    return "\n".join(lines)
