"""The report of a run: the verdict, figures, and the events of the jobs that are wrong."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.states import FINAL_STATES, EventKind
from service.models import Event, Job
from tests.chaos import preemption, retention, verdict
from tests.chaos.cluster import Cluster
from tests.chaos.killer import Counts
from tests.chaos.moves import Hit
from tests.chaos.outcome import Outcome
from tests.chaos.verdict import Verdict

LEASE_LOST = "The lease is lost"
"""The begin of what a worker logs when it discards an attempt that is no longer its own."""

REMOVED = "What projects no longer keep was removed."
"""What a worker logs when it has removed something of ended jobs."""


@dataclass
class Report:
    """What is known after a run."""

    verdict: Verdict
    figures: dict[str, Any] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=dict)
    """The events of each job that is wrong, a line each."""

    def to_json(self) -> str:
        """Return the figures as one line of JSON."""
        return json.dumps({"chaos": self.figures})


def make_report(
    cluster: Cluster, seed: int, submitted: Mapping[str, str], expected: Mapping[str, Outcome], counts: Counts
) -> Report:
    """Find the problems in the database and the storage, and count what happened.

    Args:
        cluster: the cluster after the run.
        seed: the killer's seed.
        submitted: the kind of each job, by its id.
        expected: the outcome of an undisturbed job of each kind.
        counts: what the killer did.
    """
    with cluster.database.read() as session:
        problems = verdict.find_problems(session, submitted, expected, cluster.storage)
        return Report(
            verdict=problems,
            figures={
                "seed": seed,
                **_figures_of_jobs(session),
                "moves": dict(sorted(counts.moves.items())),
                "moves_skipped": dict(sorted(counts.skipped.items())),
                "preemptions": preemption.count_preemptions(session),
                "preemptions_resumed": preemption.count_resumed(session),
                "removed_of_jobs": retention.removed_of_jobs(session),
                "removed_bytes": _removed_bytes(cluster),
                "jobs_hit": len({hit.job_id for hit in counts.hits}),
                "seconds_to_resume": _spread(_seconds_to_resume(session, counts.hits)),
                "leases_lost": _count_in_logs(cluster, LEASE_LOST),
                "unreferenced_files": len(problems.unreferenced),
                "wrong_jobs": len(problems.jobs),
            },
            events={job_id: verdict.describe_events(session, job_id) for job_id in problems.jobs},
        )


def _figures_of_jobs(session: Session) -> dict[str, Any]:
    states = Counter(str(state) for state in session.scalars(select(Job.state)))
    reasons = Counter(str(reason) for reason in session.scalars(select(Job.reason)))
    return {
        "ended": sum(count for state, count in states.items() if state in FINAL_STATES),
        "states": dict(states),
        "reasons": dict(reasons),
        "failed_attempts": session.scalar(select(func.sum(Job.failed_attempts))),
        "max_failed_attempts": session.scalar(select(func.max(Job.failed_attempts))),
        "resumes": session.scalar(select(func.count()).where(Event.kind == EventKind.RESUMED)),
        "epochs_retrained": verdict.count_retrained_epochs(session),
    }


def _seconds_to_resume(session: Session, hits: list[Hit]) -> list[float]:
    """Return, for each hit that made an attempt fail, the seconds until a later attempt trained."""
    seconds = (_seconds_to_next_training(session, hit) for hit in hits)
    return [value for value in seconds if value is not None]


def _seconds_to_next_training(session: Session, hit: Hit) -> float | None:
    resumed_at = session.scalar(
        select(Event.at)
        .where(
            Event.job_id == hit.job_id,
            Event.attempt > hit.attempt,
            Event.kind == EventKind.PHASE_CHANGED,
            Event.data["phase"].as_string() == "training",
        )
        .order_by(Event.id)
        .limit(1)
    )
    return None if resumed_at is None else (resumed_at - hit.at).total_seconds()


def _spread(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    return {"count": len(seconds), "median": round(median(seconds), 2), "p90": round(quantiles(seconds, n=10)[8], 2)}


def _removed_bytes(cluster: Cluster) -> int:
    """Return how many bytes workers have logged as removed; one that was killed in between has logged nothing."""
    lines = (line for log in cluster.logs.glob("worker-*.log") for line in log.read_text(errors="replace").splitlines())
    return sum(json.loads(line)["bytes"] for line in lines if REMOVED in line)


def _count_in_logs(cluster: Cluster, text: str) -> int:
    return sum(log.read_text(errors="replace").count(text) for log in cluster.logs.glob("worker-*.log"))
