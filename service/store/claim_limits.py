"""Limits at the claim: a queued job waits while its owner or its project is at a limit, and others overtake it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import Session

from fitqueue.limits import Limits
from fitqueue.text import plural
from service.models import Job
from service.store import holders, holdings
from service.store.access import Owned
from service.store.claim_order import Condition
from service.store.holders import Holder


class _Queued(Owned, Protocol):
    """What the limits of a job's owner and its project are about."""

    @property
    def gpus(self) -> int: ...


@dataclass(frozen=True)
class _Running:
    """What runs for a holder."""

    holder: Holder
    jobs: int
    gpus: int

    @property
    def is_full(self) -> bool:
        limit = self.holder.limits.running_jobs
        return limit is not None and self.jobs >= limit

    @property
    def free_gpus(self) -> int | None:
        limit = self.holder.limits.gpus
        return None if limit is None else max(limit - self.gpus, 0)


class Room:
    """What may still run for those with limits, as one job after the other takes it."""

    def __init__(self, running: Collection[_Running]) -> None:
        self._running = {each.holder.id: each for each in running}

    def conditions(self) -> list[Condition]:
        """Return the conditions that a queued job may run now."""
        running = self._running.values()
        return [condition for projects in (False, True) for condition in _conditions(running, projects)]

    def take(self, job: _Queued) -> bool:
        """Let a job take what it needs; return False if it may not run."""
        if _limit(job, self._running) is not None:
            return False
        for each in (self._running.get(job.owner_id), self._running.get(job.project_id)):
            if each is not None:
                self._running[each.holder.id] = replace(each, jobs=each.jobs + 1, gpus=each.gpus + job.gpus)
        return True


def conditions(session: Session) -> list[Condition]:
    """Return the conditions that a queued job may run now, by the limits of its owner and its project.

    What runs for somebody with limits is counted while their row is locked, until the claim is committed: two claims at
    once would otherwise count the same jobs and both add one. Without any limits, this only asks whether there are any.
    """
    limited = _with_claim_limits(holders.all_limited(session))
    return Room(_running(session, holders.lock(session, limited))).conditions() if limited else []


def read_room(session: Session) -> Room:
    """Return what may still run at this moment. Nothing is locked, so the claim checks it again."""
    return Room(_running(session, _with_claim_limits(holders.all_limited(session))))


def read(session: Session) -> dict[str, Limits]:
    """Return the limits of users and projects that the claim checks, by their ids."""
    return {each.id: each.limits for each in _with_claim_limits(holders.all_limited(session))}


def waits(session: Session, queued: Sequence[Job]) -> dict[str, str]:
    """Return the limit that each of these queued jobs waits for, by job id, as it reads after «waiting for»."""
    limited = _with_claim_limits(holders.all_limited(session))
    if not limited or not queued:
        return {}
    by_id = {running.holder.id: running for running in _running(session, limited)}
    found = ((job.id, _limit(job, by_id)) for job in queued)
    return {job_id: limit for job_id, limit in found if limit is not None}


def _with_claim_limits(limited: Collection[Holder]) -> list[Holder]:
    return [each for each in limited if each.limits.running_jobs is not None or each.limits.gpus is not None]


def _running(session: Session, limited: Collection[Holder]) -> list[_Running]:
    counted = []
    for projects in (False, True):
        ids = holders.ids_of(limited, projects=projects)
        if ids:
            jobs, gpus = holdings.running(session, ids, projects=projects)
            of_kind = [holder for holder in limited if holder.is_project is projects]
            counted += [_Running(each, jobs.get(each.id, 0), gpus.get(each.id, 0)) for each in of_kind]
    return counted


def _conditions(running: Collection[_Running], projects: bool) -> Iterator[Condition]:
    of_kind = [each for each in running if each.holder.is_project is projects]
    full = [each.holder.id for each in of_kind if each.is_full]
    if full:
        yield lambda job: holders.column(job, projects=projects).not_in(full)
    by_free_gpus = defaultdict[int, list[str]](list)
    for each in of_kind:
        if each.free_gpus is not None:
            by_free_gpus[each.free_gpus].append(each.holder.id)
    # One condition for all who have as many: a condition for each of them would be another statement each time.
    for free, ids in by_free_gpus.items():
        yield partial(_has_gpus, free, ids, projects)


def _has_gpus(free: int, ids: Collection[str], projects: bool, job: Any) -> ColumnElement[bool]:
    return or_(job.gpus <= free, holders.column(job, projects=projects).not_in(ids))


def _limit(job: _Queued, running: Mapping[str, _Running]) -> str | None:
    for each in (running.get(job.owner_id), running.get(job.project_id)):
        if each is None:
            continue
        jobs, gpus = each.holder.limits.running_jobs, each.holder.limits.gpus
        if jobs is not None and each.is_full:
            return f"a place: {each.holder} runs {each.jobs} of at most {plural(jobs, 'job')}"
        if gpus is not None and job.gpus > max(gpus - each.gpus, 0):
            return f"{plural(job.gpus, 'GPU')}: {each.holder} uses {each.gpus} of at most {plural(gpus, 'GPU')}"
    return None
