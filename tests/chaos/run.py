"""One whole run: six jobs in peace, many under the killer, the verdict, and the figures."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from threading import Event
from typing import Any, Final, TypeVar

from sqlalchemy import func, select

from fitqueue.errors import DatabaseUnavailable, Unreachable
from fitqueue.states import FINAL_STATES, EventKind
from service.models import Event as EventRow
from service.models import Job
from tests.chaos import jobs, outcome, verdict
from tests.chaos.cluster import GONE_SECONDS, Cluster
from tests.chaos.killer import DECK, PACE, Figures, Hit, Killer, Pace
from tests.chaos.outcome import Outcome
from tests.chaos.verdict import Verdict
from tests.waiting import NotInTime, until

LEASE_SECONDS: Final = 6.0
BACKLOG: Final = 14
OUTAGE_SECONDS: Final = 90.0
OUTAGES: Final = (Unreachable, DatabaseUnavailable)
PEACE_SECONDS: Final = 120.0
SUBMITTING: Final = 0.7
KILLING: Final = 0.85
"""Of the time."""

SETTINGS: Final = {"FITQUEUE_LEASE_SECONDS": str(LEASE_SECONDS), "FITQUEUE_SNAPSHOT_SECONDS": "0.2"}

ModelCheckResult = TypeVar("ModelCheckResult")


@dataclass
class Report:
    seed: int
    verdict: Verdict
    killer: Figures
    figures: dict[str, Any] = field(default_factory=dict)
    histories: dict[str, list[str]] = field(default_factory=dict)
    """Of the jobs that are wrong."""


def chaos(
    cluster: Cluster, *, count: int, seed: int, seconds: float, deck: Mapping[str, int] = DECK, pace: Pace = PACE
) -> Report:
    """Trains up to `count` jobs under the killer and stops the cluster's workers and API; at most so many seconds.

    When `SUBMITTING` of the time is over, no more are submitted.
    """
    began = time.monotonic()
    peaceful = {submit(cluster, kind, f"peace-{kind}"): kind for kind in jobs.KINDS}
    _wait_until_open(cluster, 0, PEACE_SECONDS)
    with cluster.database.read() as session:
        expected = {kind: outcome.of(session, job_id) for job_id, kind in peaceful.items()}
    _check_peace(expected)
    peace = time.monotonic() - began
    killer = Killer(cluster, seed, lease_seconds=LEASE_SECONDS, pace=pace, deck=deck)
    with killer:
        submitted = _submit(cluster, count, began + seconds * SUBMITTING)
        # The last ones end in peace: else the end would wait for the longest backoff.
        _too_late(cluster, 2 * len(cluster.workers), began + seconds * KILLING)
    disturbed = time.monotonic() - began - peace
    late = _too_late(cluster, 0, began + seconds)
    total = time.monotonic() - began
    report = _report(cluster, seed, {**peaceful, **submitted}, expected, killer.figures)
    report.verdict.others += [*late, *_faults_for_clients(cluster, submitted, expected)]
    report.verdict.others += [*_faults_of_processes(cluster), *_missing_moves(killer)]
    report.figures |= {
        "jobs": len(submitted),
        "seconds": round(total, 1),
        "seconds_in_peace": round(peace, 1),
        "seconds_disturbed": round(disturbed, 1),
    }
    return report


def submit(cluster: Cluster, kind: str, number: str) -> str:
    """Through an API that may be dead at this moment; the job's id, once. The client itself sits out three seconds."""
    while True:
        try:
            return cluster.client.submit(jobs.spec(kind, number)).id
        except OUTAGES:
            # Was it stored before the answer was lost? The client makes a new key for a new call.
            known = persist(lambda: list(cluster.client.list(labels={jobs.LABEL: number})))
            if known:
                return known[0].id


def persist(ask: Callable[[], ModelCheckResult], seconds: float = OUTAGE_SECONDS) -> ModelCheckResult:
    """Asks again while the API is not there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except OUTAGES:
            if time.monotonic() > deadline:
                raise


def _submit(cluster: Cluster, count: int, deadline: float) -> dict[str, str]:
    """The kind of each by its id. A few wait at any time, so that POSTs meet whatever is killed."""
    submitted: dict[str, str] = {}
    for number, kind in enumerate(jobs.kinds(count)):
        while (is_time := time.monotonic() < deadline) and _open_jobs(cluster) >= BACKLOG:
            Event().wait(0.2)
        if not is_time:
            break
        submitted[submit(cluster, kind, str(number))] = kind
    return submitted


def _open_jobs(cluster: Cluster) -> int:
    return len(persist(lambda: list(cluster.client.list(state=["queued", "running", "paused"]))))


def _wait_until_open(cluster: Cluster, most: int, seconds: float) -> None:
    until(lambda: _open_jobs(cluster) <= most, seconds, "the jobs do not end", 0.2)


def _too_late(cluster: Cluster, most: int, deadline: float) -> list[str]:
    try:
        _wait_until_open(cluster, most, max(deadline - time.monotonic(), 1.0))
    except NotInTime as error:
        return [str(error)]
    return []


def _check_peace(expected: Mapping[str, Outcome]) -> None:
    for kind, found in expected.items():
        assert found.state == "succeeded", (kind, found)
        assert {name for name, *_ in found.checkpoints} >= {"best", "last"}, (kind, found)


def _faults_for_clients(cluster: Cluster, submitted: Mapping[str, str], expected: Mapping[str, Outcome]) -> list[str]:
    """What users get, of the last job of each kind: its numbers, and its best weights whole."""
    newest = {kind: job_id for job_id, kind in submitted.items()}
    return [fault for kind, job_id in newest.items() for fault in _faults_for_client(cluster, job_id, expected[kind])]


def _faults_for_client(cluster: Cluster, job_id: str, expected: Outcome) -> Iterator[str]:
    job = persist(lambda: cluster.client.get(job_id))
    if (str(job.state), str(job.reason)) != (expected.state, expected.reason):
        yield f"the client sees {job_id} as {job.state}, {job.reason}"
        return
    rows = persist(lambda: cluster.client.metrics(job_id))
    if tuple((row.epoch, name, row.metrics[name]) for row in rows for name in sorted(row.metrics)) != expected.metrics:
        yield f"the client gets other metrics of {job_id}"
    path = persist(lambda: cluster.client.download(job_id, "best", cluster.folder / f"{job_id}.weights.h5"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 not in [row[-1] for row in expected.checkpoints if row[0] == "best"]:
        yield f"the client gets other weights of {job_id}"


# --- what is left over --------------------------------------------------------------------------------------------


def _faults_of_processes(cluster: Cluster) -> list[str]:
    """Of those that ended by themselves, and of what is there still when all was stopped."""
    faults = [f"{program.name} ended by itself" for program in cluster.programs if not program.is_running]
    faults += _still_there("directories of lost workers", lambda: _strange_directories(cluster))
    faults += [f"{worker.name} left with {code}" for worker, code in cluster.stop_workers() if code != 0]
    cluster.api.ask_to_stop()
    cluster.api.wait()
    faults += _still_there("processes", cluster.left_behind)
    faults += _still_there("work directories", cluster.disk.left)
    return faults


def _still_there(what: str, look: Callable[[], list[Any]]) -> list[str]:
    try:
        until(lambda: not look(), GONE_SECONDS, what, 0.2)
    except NotInTime:
        return [f"{what} are left over: {look()}"]
    return []


def _strange_directories(cluster: Cluster) -> list[str]:
    known = {worker.id for worker in cluster.workers}
    return sorted(path.name for path in cluster.disk.left() if None not in known and path.name not in known)


def _missing_moves(killer: Killer) -> list[str]:
    """A run in which nothing was killed shows nothing. Each kind comes in the first deck."""
    moves, spared = killer.figures.moves, killer.figures.spared
    if sum(moves.values()) + sum(spared.values()) < sum(killer.deck.values()):
        return []
    return [f"no {kind} was hit" for kind in killer.deck if not moves[kind]]


# --- figures ------------------------------------------------------------------------------------------------------


def _report(
    cluster: Cluster, seed: int, submitted: Mapping[str, str], expected: Mapping[str, Outcome], killer: Figures
) -> Report:
    with cluster.database.read() as session:
        found = verdict.judge(session, submitted, expected, cluster.store)
        report = Report(seed, found, killer)
        report.histories = {job_id: verdict.history(session, job_id) for job_id in found.jobs}
        went_on = [seconds for hit in killer.hits if (seconds := _seconds_until_on(session, hit)) is not None]
        states = Counter(str(state) for state in session.scalars(select(Job.state)))
        reasons = Counter(str(reason) for reason in session.scalars(select(Job.reason)))
        report.figures = {
            "seed": seed,
            "ended": sum(count for state, count in states.items() if state in FINAL_STATES),
            "states": dict(states),
            "reasons": dict(reasons),
            "moves": dict(sorted(killer.moves.items())),
            "spared": dict(sorted(killer.spared.items())),
            "jobs_hit": len({hit.job_id for hit in killer.hits}),
            "failed_attempts": session.scalar(select(func.sum(Job.failed_attempts))),
            "most_losses": session.scalar(select(func.max(Job.failed_attempts))),
            "resumes": session.scalar(select(func.count()).where(EventRow.kind == EventKind.RESUMED)),
            "epochs_trained_again": verdict.trained_again(session),
            "unreferenced_files": len(found.unreferenced),
            "late_writes_refused": _said_in_logs(cluster, "The lease was lost"),
            "seconds_to_going_on": _spread(went_on),
            "wrong_jobs": len(found.jobs),
        }
    return report


def _seconds_until_on(session: Any, hit: Hit) -> float | None:
    """Until a later attempt trained; None where the hit cost no attempt."""
    at = session.scalar(
        select(EventRow.at)
        .where(
            EventRow.job_id == hit.job_id,
            EventRow.attempt > hit.attempt,
            EventRow.kind == EventKind.PHASE_CHANGED,
            EventRow.data["phase"].as_string() == "training",
        )
        .order_by(EventRow.id)
        .limit(1)
    )
    return None if at is None else float((at - hit.at).total_seconds())


def _spread(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    return {"count": len(seconds), "median": round(median(seconds), 2), "p90": round(quantiles(seconds, n=10)[8], 2)}


def _said_in_logs(cluster: Cluster, words: str) -> int:
    return sum(log.read_text(errors="replace").count(words) for log in cluster.logs.glob("worker-*.log"))


def as_line(report: Report) -> str:
    return json.dumps({"chaos": report.figures})
