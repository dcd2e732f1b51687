"""Jobs as users see them: create, get, list, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, undefer

from fitqueue.errors import DatasetNotFound, IdempotencyMismatch, JobNotEnded, JobNotFound
from fitqueue.spec import JobSpec
from fitqueue.states import JobState
from fitqueue.views import ModelSummary, Notice
from service import clock
from service.ids import new_id
from service.models import Job, JobLabel
from service.store import datasets, transitions

_FEW_JOBS: Final = 1000
"""A label that fewer jobs have is rare."""


@dataclass(frozen=True)
class Idempotency:
    """The key that a client chose for a request, and the hash of its body."""

    key: str
    sha256: str


@dataclass(frozen=True)
class Filter:
    """A filter of jobs: in any of the states (all, if empty), and with everything else that is given."""

    states: Sequence[JobState] = ()
    labels: Sequence[tuple[str, str]] = ()
    """Pairs, not a mapping: two values for one key are two conditions, which no job meets."""
    pool: str | None = None
    name: str | None = None


def create(
    session: Session,
    spec: JobSpec,
    notices: Sequence[Notice],
    *,
    job_id: str | None = None,
    summary: ModelSummary | None = None,
    dataset_id: str | None = None,
    weights_dataset_id: str | None = None,
    token_id: str | None = None,
    idempotency: Idempotency | None = None,
) -> Job:
    """Store a checked job, or return the job that was stored before with this idempotency key.

    A caller that passes `job_id` can tell the two cases apart.

    Raises:
        IdempotencyMismatch: the key was used before with another body.
        DatasetNotFound: the data set was deleted after the job was checked.
    """
    job = Job(
        id=job_id or new_id("job"),
        name=spec.name,
        pool=spec.resources.pool,
        gpus=spec.resources.gpus,
        priority=spec.priority,
        spec=spec.to_json(),
        notices=[notice.model_dump() for notice in notices],
        model_summary=summary.model_dump() if summary else None,
        dataset_id=dataset_id,
        weights_dataset_id=weights_dataset_id,
        epochs=spec.fit.epochs,
        max_attempts=spec.max_attempts,
        max_runtime_seconds=spec.max_runtime_seconds,
        created_at=clock.now(session),
        token_id=token_id,
        idempotency_key=idempotency.key if idempotency else None,
        idempotency_sha256=idempotency.sha256 if idempotency else None,
    )
    used = [id for id in (dataset_id, weights_dataset_id) if id is not None]
    datasets.renew(session, used)
    try:
        with session.begin_nested():
            transitions.submit(session, job, spec.labels)
    except IntegrityError as error:
        # Another request with this key was faster, or the data set is gone. The constraints tell without a race.
        earlier = find_earlier(session, token_id, idempotency)
        if earlier is not None:
            return earlier
        if used:
            raise DatasetNotFound(f"A data set was deleted while the job was checked: {', '.join(used)}.") from error
        raise
    return job


def find_earlier(session: Session, token_id: str | None, idempotency: Idempotency | None) -> Job | None:
    """Return the job that this token created with this key, if there is one.

    Raises:
        IdempotencyMismatch: the key was used with another body.
    """
    if idempotency is None:
        return None
    job = session.scalar(select(Job).where(Job.token_id == token_id, Job.idempotency_key == idempotency.key))
    if job is not None and job.idempotency_sha256 != idempotency.sha256:
        raise IdempotencyMismatch(f"The Idempotency-Key '{idempotency.key}' was used for {job.id}, with another body.")
    return job


def get(session: Session, job_id: str) -> Job:
    """Return a job without its spec, notices and summary, which may be large.

    Raises:
        JobNotFound: there is no such job.
    """
    return _unless_deleted(session.get(Job, job_id), job_id)


def get_whole(session: Session, job_id: str) -> Job:
    """Return a job with its spec, notices and summary.

    Raises:
        JobNotFound: there is no such job.
    """
    large = [undefer(Job.spec), undefer(Job.notices), undefer(Job.model_summary)]
    return _unless_deleted(session.get(Job, job_id, options=large, populate_existing=True), job_id)


def version(session: Session, job_id: str) -> int:
    """Return the version of a job's row.

    Raises:
        JobNotFound: there is no such job.
    """
    version = session.scalar(select(Job.version).where(Job.id == job_id, Job.deleted_at.is_(None)))
    if version is None:
        raise JobNotFound(f"There is no job '{job_id}'.")
    return version


def list_page(session: Session, filter: Filter, before: str | None, limit: int) -> tuple[Sequence[Job], str | None]:
    """Return a page of jobs, newest first, and the cursor of the next page: the id before which it begins.

    Jobs that come or go between two pages do not make others appear twice or be missed.
    """
    labels = list(dict.fromkeys(filter.labels))
    first = _label_to_start_from(session, filter, labels)
    query = select(Job).where(Job.deleted_at.is_(None)).limit(limit + 1)
    newest_id: Any = Job.id
    if first is not None:
        labels.remove(first)
        newest_id = JobLabel.job_id
        query = query.join(JobLabel, JobLabel.job_id == Job.id).where(*_is_label(first))
    query = query.order_by(newest_id.desc())
    if filter.states:
        query = query.where(Job.state.in_(filter.states))
    if filter.pool is not None:
        query = query.where(Job.pool == filter.pool)
    if filter.name is not None:
        query = query.where(Job.name == filter.name)
    for label in labels:
        other = aliased(JobLabel)
        query = query.where(exists().where(other.job_id == Job.id, *_is_label(label, other)))
    if before is not None:
        query = query.where(newest_id < before)
    rows = session.scalars(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def _label_to_start_from(session: Session, filter: Filter, labels: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the label whose jobs are read, newest first, to look for those that pass the other filters.

    Without one, the jobs that pass the other filters are read. Neither database knows which label is rare: one that
    few jobs have is worth more than any other filter.
    """
    has_other = bool(filter.states) or filter.pool is not None or filter.name is not None
    if len(labels) == 1 and not has_other:
        return labels[0]
    counts = {label: _count_up_to(session, label, _FEW_JOBS) for label in labels}
    rarest = min(counts, key=lambda label: counts[label], default=None)
    return None if rarest is None or (has_other and counts[rarest] == _FEW_JOBS) else rarest


def _count_up_to(session: Session, label: tuple[str, str], most: int) -> int:
    some = select(JobLabel.job_id).where(*_is_label(label)).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _is_label(label: tuple[str, str], row: Any = JobLabel) -> tuple[ColumnElement[bool], ...]:
    return row.key == label[0], row.value == label[1]


def delete(session: Session, job_id: str) -> None:
    """Delete an ended job for its users. `deletions.delete_some` deletes what belongs to it.

    Raises:
        JobNotFound: there is no such job.
        JobNotEnded: it has not ended.
    """
    job = locked(session, job_id)
    if not job.state.is_final:
        raise JobNotEnded(f"The job {job_id} is {job.state}; cancel it first.")
    job.deleted_at = clock.now(session)
    job.version += 1
    job.idempotency_key = job.idempotency_sha256 = None  # the same request may create a new job


def locked(session: Session, job_id: str) -> Job:
    """Return a job, its row locked for this transaction.

    Raises:
        JobNotFound: there is no such job.
    """
    return _unless_deleted(session.get(Job, job_id, with_for_update=True, populate_existing=True), job_id)


def _unless_deleted(job: Job | None, job_id: str) -> Job:
    if job is None or job.deleted_at is not None:
        raise JobNotFound(f"There is no job '{job_id}'.")
    return job
