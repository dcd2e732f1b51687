"""The position of a queued job, and what it waits for, in words."""

from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from fitqueue.states import EventKind, JobState
from fitqueue.text import plural
from fitqueue.views import QueuePosition
from service import clock
from service.forecast.turns import Standing
from service.models import QUEUED, Event, Job
from service.store import claim_limits, events, workers
from service.store.queue_order import QueueOrder, QueueOrders
from service.store.workers import LiveWorker


def read(
    session: Session, jobs: Sequence[Job], lease_seconds: float, orders: QueueOrders | None = None
) -> dict[str, QueuePosition]:
    """Return the queue position of each of these jobs that is queued, by job id.

    Args:
        orders: reads the order of the queue, and keeps it for a while; None: it is read now, by the turns of users.
    """
    queued = [job for job in jobs if job.state is JobState.QUEUED]
    if not queued:
        return {}
    order = (orders or QueueOrders()).read(session, [job.id for job in queued])
    positions = positions_of(session, queued, order)
    waits = read_waits(session, queued, lease_seconds, order)
    return {
        job.id: QueuePosition(position=positions[job.id], waiting_for=waits[job.id], ahead=positions[job.id] - 1)
        for job in queued
        if job.id in positions
    }


def read_waits(
    session: Session, queued: Sequence[Job], lease_seconds: float, order: QueueOrder | None = None
) -> dict[str, str]:
    """Return what each of these queued jobs waits for, by job id.

    Args:
        order: the order of the queue; None: jobs go by age alone, or it does not matter.
    """
    now = clock.now(session)
    alive = workers.list_alive(session, lease_seconds)
    failures = _last_failures(session, [job.id for job in queued if _pauses(job, now)])
    limits = claim_limits.waits(session, queued)
    preempted = _preempted(session, [job.id for job in queued if job.preemptible and job.attempt])
    return {
        job.id: waiting_for(job, alive, now, failures.get(job.id), limits.get(job.id), preempted=job.id in preempted)
        + _turn(job, order)
        for job in queued
    }


def _turn(job: Job, order: QueueOrder | None) -> str:
    """Return why jobs of others go before one that is older than they are; nothing if none does."""
    place = order.places.get(job.id) if order is not None else None
    if order is None or place is None or not place.overtaking:
        return ""
    count = place.overtaking
    jobs = f"{plural(count, 'job')} of others go{'es' if count == 1 else ''} first"
    standing = order.standings.get(place.account, Standing())
    share = f", with a share of {standing.share:g}" if standing.share != 1 else ""
    return f"; {jobs}: {standing.name} used {100 * order.share_of_use(place.account):.0f} % of the last days{share}"


def waiting_for(
    job: Job,
    alive: Sequence[LiveWorker],
    now: datetime,
    failure: str | None = None,
    limit: str | None = None,
    *,
    preempted: bool = False,
) -> str:
    """Return what a queued job waits for, as it reads after «waiting for».

    Args:
        alive: the live workers of all pools.
        failure: why its last attempt failed, if it did.
        limit: the limit of its owner or its project that it waits for, in words.
        preempted: whether it waits because it made room for another job.
    """
    of_pool = [worker for worker in alive if job.pool in worker.pools]
    serving = [worker for worker in of_pool if not worker.is_draining]
    if not serving:
        why = "all that are alive are draining" if of_pool else "none is alive"
        return f"a worker that serves the pool '{job.pool}'; {why}"
    most = max(len(worker.gpus) for worker in serving)
    gpus = f"{job.gpus} GPU{'s' if job.gpus > 1 else ''}"
    if job.gpus > most:
        return f"{gpus} on one machine; the largest live worker has {most}"
    if _pauses(job, now):
        cause = f"; the last one failed: {failure}" if failure else ""
        return f"its next attempt at {job.not_before:%Y-%m-%dT%H:%M:%SZ}{cause}"
    if limit is not None:
        return limit
    if job.preemptible:
        return (
            "idle devices again: it made room for another job, and goes on by itself" if preempted else "idle devices"
        )
    return f"a worker with {gpus} free" if job.gpus else "a free worker"


def _pauses(job: Job, now: datetime) -> bool:
    return job.not_before is not None and job.not_before > now


def positions_of(session: Session, queued: Sequence[Job], order: QueueOrder | None) -> Mapping[str, int]:
    """Return the position of each job in the queue of its pool.

    Args:
        order: the order of the queue; None: jobs go by age alone.
    """
    if order is None:
        return _positions_by_age(session, queued)
    return {job.id: order.places[job.id].position for job in queued if job.id in order.places}


def _positions_by_age(session: Session, queued: Sequence[Job]) -> Mapping[str, int]:
    """Return the position of each job in the queue of its pool.

    Of each pool and priority, the jobs before the first one are counted by their index; the others are ranked from
    there. So a page of jobs that were submitted one after the other costs little more than one of them.
    """
    groups: dict[tuple[str, bool, int], list[str]] = {}
    for job in sorted(queued, key=lambda job: job.id):
        groups.setdefault((job.pool, job.preemptible, job.priority), []).append(job.id)
    ahead = count_ahead(session, [ids[0] for ids in groups.values()])
    ranks = _ranks(session, queued) if len(groups) < len(queued) else {}
    return {
        job_id: ahead[ids[0]] + 1 + ranks.get(job_id, 0) - ranks.get(ids[0], 0)
        for ids in groups.values()
        for job_id in ids
        if ids[0] in ahead and (job_id in ranks or job_id == ids[0])
    }


def count_ahead(session: Session, job_ids: Collection[str]) -> dict[str, int]:
    """Return how many queued jobs of its pool are before each of these queued ones."""
    other = aliased(Job)
    in_queue = (other.state == QUEUED, other.reason.is_(None), other.pool == Job.pool)
    count = select(func.count()).where(*in_queue)
    sooner = count.where(other.preemptible < Job.preemptible).scalar_subquery()
    of_kind = count.where(other.preemptible == Job.preemptible)
    higher = of_kind.where(other.priority > Job.priority).scalar_subquery()
    older = of_kind.where(other.priority == Job.priority, other.id < Job.id).scalar_subquery()
    query = select(Job.id, sooner + higher + older).where(Job.id.in_(job_ids), Job.state == JobState.QUEUED)
    return {row[0]: row[1] for row in session.execute(query)}


def _ranks(session: Session, queued: Sequence[Job]) -> dict[str, int]:
    """Return the rank of each job among the queued ones of its pool and priority, from the oldest of these."""
    ids = [job.id for job in queued]
    ranked = (
        select(
            Job.id,
            func.row_number()
            .over(partition_by=(Job.pool, Job.preemptible, Job.priority), order_by=Job.id)
            .label("rank"),
        )
        .where(Job.state == JobState.QUEUED, Job.id.between(min(ids), max(ids)))
        .subquery()
    )
    rows = session.execute(select(ranked.c.id, ranked.c.rank).where(ranked.c.id.in_(ids)))
    return {row[0]: row[1] for row in rows}


def _last_failures(session: Session, job_ids: Collection[str]) -> Mapping[str, str]:
    """Return why the last attempt of each job failed."""
    if not job_ids:
        return {}
    newest = (
        select(func.max(Event.id))
        .where(Event.job_id.in_(job_ids), Event.kind == EventKind.REQUEUED)
        .group_by(Event.job_id)
    )
    rows = session.execute(select(Event.job_id, Event.data).where(Event.id.in_(newest)))
    return {job_id: data["failure"] for job_id, data in rows if "failure" in data}


def _preempted(session: Session, job_ids: Collection[str]) -> Set[str]:
    """Return which of these queued jobs wait because they made room for another one."""
    if not job_ids:
        return frozenset()
    rows = session.execute(select(Job.id, events.last_data(Job.id)).where(Job.id.in_(job_ids)))
    return {job_id for job_id, data in rows if data is not None and "preempted" in data}
