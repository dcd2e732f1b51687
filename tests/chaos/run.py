"""One run: a baseline of one undisturbed job of each kind, then many jobs under the killer, and the report."""

import time
from collections.abc import Mapping
from threading import Event
from typing import Final

from tests.chaos import jobs
from tests.chaos.api_calls import count_open_jobs, submit
from tests.chaos.cluster import Cluster
from tests.chaos.killer import DECK, PACE, Killer, Pace
from tests.chaos.limits import create_limited_project
from tests.chaos.other_problems import missing_moves, problems_for_clients, problems_of_processes
from tests.chaos.outcome import Outcome, read_outcome
from tests.chaos.report import Report, make_report
from tests.chaos.retention import create_brief_project, let_days_pass, wait_for_removals
from tests.waiting import NotInTime, until

LEASE_SECONDS: Final = 6.0
SETTINGS: Final = {"FITQUEUE_LEASE_SECONDS": str(LEASE_SECONDS), "FITQUEUE_SNAPSHOT_SECONDS": "0.2"}

BASELINE_TIMEOUT: Final = 120.0
MAX_OPEN_JOBS: Final = 14
"""Open jobs while more are submitted. A few always wait, so that POSTs meet whatever is killed."""

END_TIMEOUT: Final = 120.0
"""How much longer the last jobs may take on a slow machine, where nothing is killed any more."""

SUBMIT_SHARE: Final = 0.7
"""After this share of the time no more jobs are submitted."""
KILL_SHARE: Final = 0.85
"""After this share of the time nothing is killed any more."""


def run_chaos(
    cluster: Cluster, *, count: int, seed: int, seconds: float, deck: Mapping[str, int] = DECK, pace: Pace = PACE
) -> Report:
    """Train jobs under the killer, then stop the workers and the API of the cluster.

    Args:
        cluster: the cluster, which must be ready and empty.
        count: how many jobs are submitted at most, besides the baseline.
        seed: the killer's seed.
        seconds: how long the run may take.
        deck: how often each kind of move comes.
        pace: how fast the moves follow each other.
    """
    create_limited_project(cluster.database)
    create_brief_project(cluster.database)
    began = time.monotonic()
    baseline, expected = _train_baseline(cluster)
    seconds_undisturbed = time.monotonic() - began
    with Killer(cluster, seed, lease_seconds=LEASE_SECONDS, pace=pace, deck=deck) as killer:
        submitted = _submit_jobs(cluster, count, began + seconds * SUBMIT_SHARE)
        # The last jobs end undisturbed. Otherwise the run would take as long as the longest pause before an attempt.
        _wait_for_jobs(cluster, 2 * len(cluster.workers), began + seconds * KILL_SHARE)
    seconds_disturbed = time.monotonic() - began - seconds_undisturbed
    late = _wait_for_jobs(cluster, 0, began + seconds + END_TIMEOUT)
    seconds_total = time.monotonic() - began
    late += wait_for_removals(cluster.database)
    report = make_report(cluster, seed, {**baseline, **submitted}, expected, killer.counts)
    report.verdict.others += late
    report.verdict.others += problems_for_clients(cluster, submitted, expected)
    report.verdict.others += problems_of_processes(cluster)
    report.verdict.others += missing_moves(killer)
    report.figures |= {
        "jobs": len(submitted),
        "seconds": round(seconds_total, 1),
        "seconds_undisturbed": round(seconds_undisturbed, 1),
        "seconds_disturbed": round(seconds_disturbed, 1),
    }
    return report


def _train_baseline(cluster: Cluster) -> tuple[dict[str, str], dict[str, Outcome]]:
    """Train a job of each kind undisturbed; return the kinds of these jobs by their ids, and the outcomes by kind."""
    baseline = {submit(cluster.client, kind, f"baseline-{kind}"): kind for kind in jobs.KINDS}
    until(lambda: count_open_jobs(cluster.client) == 0, BASELINE_TIMEOUT, "the jobs of the baseline do not end", 0.2)
    with cluster.database.read() as session:
        outcomes = {kind: read_outcome(session, job_id) for job_id, kind in baseline.items()}
    for kind, outcome in outcomes.items():
        assert outcome.state == "succeeded", (kind, outcome)
        assert {name for name, *_ in outcome.checkpoints} >= {"best", "last"}, (kind, outcome)
    return baseline, outcomes


def _submit_jobs(cluster: Cluster, count: int, deadline: float) -> dict[str, str]:
    """Submit so many jobs, or as many as can be trained in time; return the kind of each by its id."""
    submitted: dict[str, str] = {}
    for number, kind in enumerate(jobs.kinds(count)):
        while (is_in_time := time.monotonic() < deadline) and count_open_jobs(cluster.client) >= MAX_OPEN_JOBS:
            Event().wait(0.2)
        if not is_in_time:
            break
        submitted[submit(cluster.client, kind, str(number))] = kind
        let_days_pass(cluster.database)
    return submitted


def _wait_for_jobs(cluster: Cluster, max_open: int, deadline: float) -> list[str]:
    """Wait until no more than so many jobs are open; return the problem, if that takes too long."""
    seconds = max(deadline - time.monotonic(), 1.0)
    try:
        until(lambda: count_open_jobs(cluster.client) <= max_open, seconds, "the jobs do not end", 0.2)
    except NotInTime as error:
        return [str(error)]
    return []
