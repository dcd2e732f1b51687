"""Problems of a run that the database does not show: what clients get, what is left over, and what never happened."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from fitqueue.states import EventKind
from service.models import Event
from tests.chaos.api_calls import retry
from tests.chaos.cluster import Cluster
from tests.chaos.killer import Killer
from tests.chaos.outcome import Outcome
from tests.waiting import NotInTime, until

REMOVAL_TIMEOUT: Final = 20.0
"""How long processes and directories may take to disappear."""


def problems_for_clients(
    cluster: Cluster, submitted: Mapping[str, str], expected: Mapping[str, Outcome]
) -> Iterator[str]:
    """Check, for the last job of each kind, that clients get its state, its metrics and its best weights intact.

    Args:
        cluster: the cluster after the run.
        submitted: the kind of each job, by its id.
        expected: the outcome of an undisturbed job of each kind.
    """
    last_jobs = {kind: job_id for job_id, kind in submitted.items()}
    for kind, job_id in last_jobs.items():
        yield from _problems_for_client(cluster, job_id, expected[kind])


def _problems_for_client(cluster: Cluster, job_id: str, expected: Outcome) -> Iterator[str]:
    job = retry(lambda: cluster.client.get(job_id))
    if (str(job.state), str(job.reason)) != (expected.state, expected.reason):
        yield f"the client sees {job_id} as {job.state}, {job.reason}"
        return
    rows = retry(lambda: cluster.client.metrics(job_id))
    if tuple((row.epoch, name, row.metrics[name]) for row in rows for name in sorted(row.metrics)) != expected.metrics:
        yield f"the client gets other metrics of {job_id}"
    path = retry(lambda: cluster.client.download(job_id, "best", cluster.folder / f"{job_id}.weights.h5"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 not in [row[-1] for row in expected.checkpoints if row[0] == "best"]:
        yield f"the client gets other weights of {job_id}"


def problems_of_processes(cluster: Cluster) -> Iterator[str]:
    """Stop the workers and the API. Check that none exited before, and that nothing is left afterwards."""
    for program in cluster.programs:
        if not program.is_running:
            yield f"{program.name} exited by itself"
    yield from _problems_of_removal("directories of dead workers", lambda: _directories_of_dead_workers(cluster))
    for worker, code in cluster.stop_workers():
        if code != 0:
            yield f"{worker.name} exited with {code}"
    cluster.api.terminate()
    cluster.api.wait()
    yield from _problems_of_removal("processes", cluster.processes_left)
    yield from _problems_of_removal("work directories", lambda: _work_left(cluster))


def _problems_of_removal(what: str, list_left: Callable[[], list[Any]]) -> Iterator[str]:
    try:
        until(lambda: not list_left(), REMOVAL_TIMEOUT, what, 0.2)
    except NotInTime:
        yield f"{what} are left over: {list_left()}"


def _directories_of_dead_workers(cluster: Cluster) -> list[str]:
    worker_ids = {worker.id for worker in cluster.workers}
    if None in worker_ids:  # a worker is not ready yet, but its directory exists
        return []
    return sorted(path.name for path in _work_left(cluster) if path.name not in worker_ids)


def _work_left(cluster: Cluster) -> list[Path]:
    """Return what is on the disk of the workers, except for unsaved files of which the job says where they are."""
    return [path for path in cluster.disk.left() if path.name != "unsaved" or _not_announced(cluster, path)]


def _not_announced(cluster: Cluster, unsaved: Path) -> set[str]:
    with cluster.database.read() as session:
        rows = session.execute(select(Event.message, Event.data).where(Event.kind == EventKind.REQUEUED)).all()
    told = "\n".join(f"{row.message} {row.data.get('failure')}" for row in rows)
    return {str(folder) for folder in unsaved.glob("*/*") if f"{folder} on " not in told}


def missing_moves(killer: Killer) -> list[str]:
    """Return the kinds of moves that never hit anything: a run without hits proves nothing.

    A run that did not get through its first deck is excused.
    """
    moves, skipped = killer.counts.moves, killer.counts.skipped
    if sum(moves.values()) + sum(skipped.values()) < sum(killer.deck.values()):
        return []
    return [f"no {kind} was hit" for kind in killer.deck if not moves[kind]]
