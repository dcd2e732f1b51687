"""The forecast of the queue: what `service/forecast` needs is read here, and its answer is kept for a while."""

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nsmallest
from threading import Lock
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service import clock
from service.forecast.estimate import Estimate
from service.forecast.machines import Worker
from service.forecast.pace import Training, time_left, whole_time
from service.forecast.schedule import Limit, RunningJob, WaitingJob, count_ahead, schedule
from service.forecast.turns import TurnsBy
from service.models import Job, TrainingTime
from service.store import claim_limits, claim_order, training_times, workers
from service.store.queue_order import QueueOrder, QueueOrders

MAX_WAITING: Final = 1000
"""Jobs of the queue that are forecast, in the order of claims. What is after them waits long, and nobody knows yet."""

_SECONDS: Final = 1.0
"""How long a forecast is kept at least."""

_MOST_SECONDS: Final = 15.0
"""How long a forecast is kept at most."""

_COST_RATIO: Final = 50.0
"""How often the time that a forecast takes fits in the time that it is kept: it costs at most 2 % of a processor."""

_TRAINING: Final = (
    Job.epochs,
    Job.epoch,
    Job.step,
    Job.steps,
    Job.seconds_per_epoch,
    Job.paced_at,
    Job.claimed_at,
    Job.seconds_used,
    Job.max_runtime_seconds,
    Job.may_end_early,
)
_KIND: Final = (Job.id, Job.pool, Job.gpus, Job.timing_key, Job.work, Job.owner_id, Job.project_id)

_SECONDS_TO_LEAVE: Final = 5.0
"""How long a job that was asked to make room for another one still holds its device."""


@dataclass(frozen=True)
class QueuedForecast:
    """What the forecast says of a queued job. What nobody knows is None."""

    ahead: int
    starts: Estimate | None
    ends: Estimate | None


class Forecaster:
    """Forecasts the queue, at most once a second and at little cost. Thread-safe."""

    def __init__(
        self, lease_seconds: float, by: TurnsBy = TurnsBy.USER, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a forecaster of the jobs on all live workers: those that were seen within the time of a lease."""
        self.orders = QueueOrders(by, monotonic)
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._made: tuple[Mapping[str, QueuedForecast], float] = {}, 0.0
        """The forecast, and when it was made: together, because other threads read them meanwhile."""
        self._expires_at: float | None = None
        self._making = Lock()

    def read(self, session: Session, job_ids: Sequence[str]) -> dict[str, QueuedForecast]:
        """Return what is forecast of these queued jobs. One that was just queued may be missing for a moment."""
        self._renew(session)
        forecast, made_at = self._made
        elapsed = self._monotonic() - made_at
        return {id: _later(forecast[id], elapsed) for id in job_ids if id in forecast}

    def _renew(self, session: Session) -> None:
        """Make a new forecast if the last one is too old. Meanwhile, other threads answer with that one."""
        if self._expires_at is not None and self._monotonic() < self._expires_at:
            return
        if not self._making.acquire(blocking=self._expires_at is None):
            return
        try:
            began = self._monotonic()
            if self._expires_at is None or began >= self._expires_at:
                self._made = make_forecast(session, self._lease_seconds, self.orders), began
                cost = self._monotonic() - began
                self._expires_at = began + min(max(_SECONDS, _COST_RATIO * cost), _MOST_SECONDS)
        finally:
            self._making.release()


def make_forecast(
    session: Session, lease_seconds: float, orders: QueueOrders | None = None
) -> dict[str, QueuedForecast]:
    """Return what is forecast of the first queued jobs, by job id."""
    order = (orders or QueueOrders()).read(session)
    now = clock.now(session)
    alive = workers.list_alive(session, lease_seconds)
    # A draining worker trains its jobs, and claims none of any pool.
    pools = [frozenset[str]() if worker.is_draining else worker.pools for worker in alive]
    fleet = [Worker(served, worker.slots, worker.gpus) for served, worker in zip(pools, alive, strict=True)]
    columns = Job.worker_id, Job.paced_epochs, Job.preempt_requested_at, *_KIND, *_TRAINING
    running = session.execute(select(*columns).where(Job.state == JobState.RUNNING)).all()
    limits = {id: Limit(limit.running_jobs, limit.gpus) for id, limit in claim_limits.read(session).items()}
    paces = {job.timing_key: job.seconds_per_epoch for job in running if job.timing_key and job.paced_epochs > 1}
    waiting = _waiting(session, frozenset[str]().union(*pools), order, paces, limits.keys(), now)
    indexes = {worker.id: i for i, worker in enumerate(alive)}
    runs = schedule(fleet, _running_jobs(running, indexes, limits.keys(), now), waiting, limits)
    ahead = count_ahead(fleet, waiting)
    return {
        id: QueuedForecast(ahead[id], runs[id].starts if id in runs else None, runs[id].ends if id in runs else None)
        for id in ahead
    }


def training_of(job: Any, now: datetime) -> Training:
    """Return how far a job has come.

    Args:
        job: its row, or the columns of it that matter.
        now: the time of the database.
    """
    has_ended_epoch = job.steps is not None and job.step == job.steps
    return Training(
        epochs=job.epochs,
        complete=job.epoch if has_ended_epoch else max(0, job.epoch - 1),
        share=job.step / job.steps if job.steps and not has_ended_epoch else 0.0,
        seconds_per_epoch=job.seconds_per_epoch,
        seconds_in_epoch=_seconds_since(job.paced_at, now),
        seconds_allowed=_seconds_allowed(job, now),
        may_end_early=job.may_end_early is not False,
    )


def _seconds_allowed(job: Any, now: datetime) -> float | None:
    if job.max_runtime_seconds is None:
        return None
    used: float = job.seconds_used + (_seconds_since(job.claimed_at, now) or 0.0)
    return float(job.max_runtime_seconds) - used


def _seconds_since(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())


def _running_jobs(
    rows: Sequence[Any], indexes: Mapping[str, int], limited: Set[str], now: datetime
) -> list[RunningJob]:
    """Return the running jobs of live workers, whose indexes are given by their ids."""
    return [
        RunningJob(indexes[row.worker_id], row.gpus, _time_left(row, now), _holders(row, limited))
        for row in rows
        if row.worker_id in indexes
    ]


def _time_left(row: Any, now: datetime) -> Estimate | None:
    return time_left(training_of(row, now)) if row.preempt_requested_at is None else Estimate(_SECONDS_TO_LEAVE)


def _holders(row: Any, limited: Set[str]) -> frozenset[str]:
    """Return those for whose limits a job counts, of all who have limits."""
    return frozenset({row.owner_id, row.project_id} & limited)


def _waiting(
    session: Session,
    pools: Set[str],
    order: QueueOrder | None,
    paces: Mapping[str, float],
    limited: Set[str],
    now: datetime,
) -> list[WaitingJob]:
    """Return the first queued jobs of these pools in the order of claims.

    Args:
        session: the session.
        pools: the pools that live workers serve.
        order: the order of the queue; None: jobs go by age alone.
        paces: the paces of running jobs, by their kind.
        limited: the users and projects that have limits.
        now: the time of the database.
    """
    rows = _first_by_age(session, pools) if order is None else _first_by_turns(session, pools, order)
    times = training_times.read(session, rows)
    return [
        _waiting_job(row, similar, paces.get(row.timing_key), _holders(row, limited), now)
        for row, similar in zip(rows, times, strict=True)
    ]


_WAITING: Final = select(*_KIND, Job.preemptible, Job.priority, Job.not_before, Job.created_at, *_TRAINING).where(
    *claim_order.BY_AGE
)


def _first_by_age(session: Session, pools: Set[str]) -> list[Any]:
    rows: list[Any] = []
    for pool in sorted(pools):
        # One range of the index of the queue each: a sort of all queued jobs would read all of them.
        order = Job.preemptible, Job.priority.desc(), Job.id
        rows += session.execute(_WAITING.where(Job.pool == pool).order_by(*order).limit(MAX_WAITING)).all()
    return sorted(rows, key=lambda row: (row.preemptible, -row.priority, row.id))[:MAX_WAITING]


def _first_by_turns(session: Session, pools: Set[str], order: QueueOrder) -> list[Any]:
    places = [place for place in order.places.values() if place.pool in pools]
    first = nsmallest(MAX_WAITING, places, key=lambda place: place.key[1:])
    rows = session.execute(_WAITING.where(Job.id.in_([place.id for place in first]))).all()
    found = {row.id: row for row in rows}
    return [found[place.id] for place in first if place.id in found]


def _waiting_job(
    row: Any, similar: TrainingTime | None, pace: float | None, holders: frozenset[str], now: datetime
) -> WaitingJob:
    training = training_of(row, now)
    if training.seconds_per_epoch is None:
        known = similar is not None and similar.key == row.timing_key and similar.paced_epochs > 1
        best = similar.seconds_per_epoch if similar is not None and (known or pace is None) else pace
        training = replace(training, seconds_per_epoch=best)
    return WaitingJob(
        id=row.id,
        pool=row.pool,
        gpus=row.gpus,
        takes=whole_time(training, similar.start_seconds if similar is not None else 0.0),
        ready_in=0.0 if row.not_before is None else max(0.0, (row.not_before - now).total_seconds()),
        waited=_seconds_since(row.created_at, now) or 0.0,
        holders=holders,
    )


def _later(forecast: QueuedForecast, elapsed: float) -> QueuedForecast:
    """Return a forecast as it reads some seconds after it was made."""
    return QueuedForecast(forecast.ahead, _reduced(forecast.starts, elapsed), _reduced(forecast.ends, elapsed))


def _reduced(estimate: Estimate | None, elapsed: float) -> Estimate | None:
    if estimate is None:
        return None
    return Estimate(max(0.0, estimate.seconds - elapsed), estimate.is_upper_bound)
