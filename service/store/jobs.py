"""Jobs as users see them: create, get, delete. `job_list` lists them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from fitqueue.datasets import BUILTIN, DatasetInfo
from fitqueue.errors import DatasetNotFound, IdempotencyMismatch, JobNotEnded, JobNotFound
from fitqueue.spec import JobSpec
from fitqueue.states import JobState
from fitqueue.views import ModelSummary, Notice
from service import clock
from service.forecast import similar
from service.ids import new_id
from service.models import ADMIN_ID, LAB_ID, Dataset, Job
from service.store import datasets, submission_limits, transitions
from service.store.access import EVERYTHING, Viewer


@dataclass(frozen=True)
class Idempotency:
    """The key that a client chose for a request, and the hash of its body."""

    key: str
    sha256: str


def create(
    session: Session,
    spec: JobSpec,
    notices: Sequence[Notice],
    *,
    job_id: str | None = None,
    summary: ModelSummary | None = None,
    dataset_id: str | None = None,
    weights_dataset_id: str | None = None,
    owner_id: str = ADMIN_ID,
    project_id: str = LAB_ID,
    token_id: str | None = None,
    idempotency: Idempotency | None = None,
) -> Job:
    """Store a checked job, or return the job that was stored before with this idempotency key.

    A caller that passes `job_id` can tell the two cases apart.

    Raises:
        IdempotencyMismatch: the key was used before with another body.
        DatasetNotFound: the data set was deleted after the job was checked.
        LimitExceeded: the owner or the project has no room for it. Nothing may be committed.
    """
    stored, data = spec.to_json(), _data_of(session, spec, dataset_id)
    job = Job(
        id=job_id or new_id("job"),
        name=spec.name,
        pool=spec.resources.pool,
        gpus=spec.resources.gpus,
        priority=spec.priority,
        preemptible=spec.preemptible,
        spec=stored,
        notices=[notice.model_dump() for notice in notices],
        model_summary=summary.model_dump() if summary else None,
        dataset_id=dataset_id,
        weights_dataset_id=weights_dataset_id,
        builtin_dataset=spec.data.dataset if spec.data.dataset in BUILTIN else None,
        epochs=spec.fit.epochs,
        max_attempts=spec.max_attempts,
        max_runtime_seconds=spec.max_runtime_seconds,
        max_queued_seconds=spec.max_queued_seconds,
        weights_job_id=spec.initial_weights.job if spec.initial_weights else None,
        keep=spec.keep,
        timing_key=similar.timing_key(stored, summary, dataset_id or spec.data.dataset),
        work=similar.work(spec, summary, data),
        may_end_early=similar.may_end_early(stored),
        created_at=clock.now(session),
        owner_id=owner_id,
        project_id=project_id,
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
    submission_limits.check_new_job(session, job)
    return job


def _data_of(session: Session, spec: JobSpec, dataset_id: str | None) -> DatasetInfo | None:
    if spec.data.dataset in BUILTIN:
        return BUILTIN[spec.data.dataset].info
    dataset = session.get(Dataset, dataset_id) if dataset_id is not None else None
    return datasets.info(dataset) if dataset is not None else None


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


def get(session: Session, job_id: str, viewer: Viewer = EVERYTHING) -> Job:
    """Return a job without its spec, notices and summary, which may be large.

    Raises:
        JobNotFound: there is no such job, or the viewer may not see it.
    """
    job = _unless_deleted(session.get(Job, job_id), job_id)
    if not viewer.sees(job):
        raise JobNotFound(f"There is no job '{job_id}'.")
    return job


def get_whole(session: Session, job_id: str) -> Job:
    """Return a job with its spec, notices and summary.

    Raises:
        JobNotFound: there is no such job.
    """
    large = [undefer(Job.spec), undefer(Job.notices), undefer(Job.model_summary)]
    return _unless_deleted(session.get(Job, job_id, options=large, populate_existing=True), job_id)


def names(session: Session, job_ids: Collection[str]) -> dict[str, str | None]:
    """Return the names of jobs, by id."""
    rows = session.execute(select(Job.id, Job.name).where(Job.id.in_(job_ids)))
    return {row.id: row.name for row in rows}


def states(session: Session, job_ids: Collection[str]) -> dict[str, JobState]:
    """Return the states of those jobs that exist, by id."""
    rows = session.execute(select(Job.id, Job.state).where(Job.id.in_(job_ids), Job.deleted_at.is_(None)))
    return {row.id: row.state for row in rows}


def version(session: Session, job_id: str) -> int:
    """Return the version of a job's row.

    Raises:
        JobNotFound: there is no such job.
    """
    version = session.scalar(select(Job.version).where(Job.id == job_id, Job.deleted_at.is_(None)))
    if version is None:
        raise JobNotFound(f"There is no job '{job_id}'.")
    return version


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
    job.retention_due_at = None
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
