"""The files that callbacks of jobs wrote."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.errors import ArtifactNotFound, Expired
from fitqueue.retention import Removable
from service.models import Artifact
from service.store import jobs, retention
from service.store.cursors import invalid_cursor


def list_page(session: Session, job_id: str, after: str | None, limit: int) -> Sequence[Artifact]:
    """Return the job's artifacts, by name.

    Args:
        after: only those behind this name.

    Raises:
        JobNotFound: there is no such job.
        InvalidRequest: the job has no artifact with the name `after`, which is the cursor of a page.
    """
    jobs.get(session, job_id)
    if after is not None and session.get(Artifact, (job_id, after)) is None:
        raise invalid_cursor(after, "No list of this job's artifacts has given this cursor.")
    query = select(Artifact).where(Artifact.job_id == job_id).order_by(Artifact.name).limit(limit)
    return session.scalars(query if after is None else query.where(Artifact.name > after)).all()


def get(session: Session, job_id: str, name: str) -> Artifact:
    """Return an artifact by its name.

    Raises:
        JobNotFound: there is no such job.
        ArtifactNotFound: the job has no such artifact.
        Expired: the retention of its project has removed it.
    """
    job = jobs.get(session, job_id)
    artifact = session.get(Artifact, (job_id, name), populate_existing=True)
    if artifact is not None:
        return artifact
    if (why := retention.why_removed(job, Removable.ARTIFACTS)) is not None:
        raise Expired(f"The job {job_id} has no artifact '{name}'. {why}")
    raise ArtifactNotFound(f"The job {job_id} has no artifact '{name}'.")
