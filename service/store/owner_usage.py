"""What the jobs of each user, and of each project, have used and store."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, cast, func, literal, null, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from fitqueue.states import JobState
from service import clock
from service.models import Job, OwnerUsage, Project, User
from service.store import holdings, shared_rows
from service.store.access import EVERYTHING, Viewer

By = Literal["user", "project"]

_Totals = Counter[str]
"""Amounts by the id of a user or project. They may have fractions."""


@dataclass(frozen=True)
class OwnerUse:
    """What the jobs of one user, or one project, have used, those included that are deleted, and what is stored now."""

    name: str
    gpu_seconds: float
    cpu_seconds: float
    jobs: int
    stored_bytes: int


def add(session: Session, job: Job, amounts: Mapping[str, float]) -> None:
    """Add to the row that the owner's jobs in a project share."""
    shared_rows.add(session, OwnerUsage, {"owner_id": job.owner_id, "project_id": job.project_id}, amounts)


def read(session: Session, by: By, viewer: Viewer = EVERYTHING, only_user: str | None = None) -> list[OwnerUse]:
    """Return what each user, or each project that the viewer sees, has used until now and stores, by name.

    With `only_user`, an id, there is no other user.

    Running attempts count, too. The times and the number of jobs never shrink.
    """
    column = "owner_id" if by == "user" else "project_id"
    names = select(User.id, User.name).order_by(User.name)
    if only_user is not None:
        names = names.where(User.id == only_user)
    if by == "project":
        names = select(Project.id, Project.name).order_by(Project.name).where(Project.id.not_in(sorted(viewer.hidden)))
    shown = session.execute(names).all()
    gpu_seconds, cpu_seconds = _seconds(session, column)
    jobs = _jobs(session, column)
    stored = holdings.stored_bytes(session, [row.id for row in shown], projects=by == "project")
    return [
        OwnerUse(name, float(gpu_seconds[id]), float(cpu_seconds[id]), jobs[id], stored.get(id, 0))
        for id, name in shown
    ]


def _seconds(session: Session, column: str) -> tuple[_Totals, _Totals]:
    """Read them in one statement, so that an attempt that is about to end counts either as running or as ended."""
    now = clock.now(session)
    running = select(_of(Job, column), Job.attempt_cpu_seconds, literal(0.0), Job.gpus, Job.claimed_at)
    no_time = cast(null(), Job.claimed_at.type)
    ended = select(_of(OwnerUsage, column), OwnerUsage.cpu_seconds, OwnerUsage.gpu_seconds, literal(0), no_time)
    gpu_totals: Any = Counter()
    cpu_totals: Any = Counter()
    rows = session.execute(union_all(running.where(Job.state == JobState.RUNNING), ended))
    for holder, cpu_seconds, gpu_seconds, gpus, since in rows:
        held = 0.0 if since is None else gpus * max((now - since).total_seconds(), 0.0)
        gpu_totals[holder] += gpu_seconds + held
        cpu_totals[holder] += cpu_seconds
    return gpu_totals, cpu_totals


def _jobs(session: Session, column: str) -> _Totals:
    stored, deleted = _of(Job, column), _of(OwnerUsage, column)
    return _totals(
        session,
        select(stored, func.count()).group_by(stored),
        select(deleted, func.sum(OwnerUsage.deleted_jobs)).group_by(deleted),
    )


def _of(table: type[Job | OwnerUsage], column: str) -> InstrumentedAttribute[str]:
    attribute: InstrumentedAttribute[str] = getattr(table, column)
    return attribute


def _totals(session: Session, *queries: Select[str, Any]) -> _Totals:
    totals: _Totals = Counter()
    for holder, amount in session.execute(union_all(*queries)):
        totals[holder] += int(amount)
    return totals
