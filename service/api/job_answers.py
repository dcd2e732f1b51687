"""How the routes of a job read it and answer with it: the view, its ETag, and the language of its diagnosis."""

import zlib

from flask import Response
from sqlalchemy.orm import Session

from fitqueue.diagnosis import Diagnosis
from fitqueue.errors import JobNotFound
from fitqueue.text import about
from fitqueue.views import JobView, QueuePosition
from service.api import languages
from service.api.context import Services
from service.api.parameters import answer
from service.api.views import job_diagnosis, job_view
from service.models import Job
from service.store import job_details, jobs, metrics
from service.store.job_details import JobDetails


def read_job(services: Services, job_id: str) -> tuple[JobView, int]:
    """Return a job and the version of its row.

    Raises:
        JobNotFound: there is no such job.
    """
    with services.database.read() as session:
        details, diagnosis = load_job(session, services, job_id)
    return job_view(details, diagnosis), details.job.version


def load_job(session: Session, services: Services, job_id: str) -> tuple[JobDetails, Diagnosis | None]:
    """Read a job with its spec, and what its losses say.

    Raises:
        JobNotFound: there is no such job.
    """
    job = jobs.get_whole(session, job_id)
    details = job_details.read(session, job, services.settings.lease_seconds, services.forecaster)
    return details, read_diagnosis(session, details.job)


def read_diagnosis(session: Session, job: Job) -> Diagnosis | None:
    """Return what the losses of a job say in the language of the request; None before its first epoch."""
    if job.epoch == 0:
        return None
    losses = metrics.losses(session, job.id)
    return job_diagnosis(job, losses, languages.preferred(), metrics.rate_share(session, job.id))


def has_changed(services: Services, job_id: str, version: int) -> bool:
    """Tell whether a job has another version, or is gone."""
    try:
        with services.database.read() as session:
            return jobs.version(session, job_id) != version
    except JobNotFound:
        return True


def etag_of(view: JobView, version: int) -> str:
    return f"{version}{tag_of_queue(view.queue)}-{languages.preferred()}"


def tag_of_queue(queue: QueuePosition | None) -> str:
    """Return the part of an ETag that changes with the queue: what a job waits for changes without the job.

    When it starts is part of it as people read it: else each answer, a second later, would be another one.
    """
    if queue is None:
        return ""
    shown = queue.position, queue.waiting_for, queue.ahead, about(queue.starts_in_seconds), queue.may_start_earlier
    return f"-{zlib.crc32(repr(shown).encode()):08x}"


def tagged(response: Response, etag: str) -> Response:
    response.set_etag(etag)
    return languages.declare(response)


def job_answer(services: Services, job_id: str, status: int) -> Response:
    """Answer a write with the job as it is after the commit."""
    view, version = read_job(services, job_id)
    return tagged(answer(view, status), etag_of(view, version))
