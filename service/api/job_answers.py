"""How the routes of a job read it and answer with it: the view, its ETag, and the language of its diagnosis."""

import zlib

from flask import Response

from fitqueue.errors import JobNotFound
from fitqueue.views import JobView
from service.api import languages
from service.api.context import Services
from service.api.parameters import answer
from service.api.views import job_view
from service.store import job_details, jobs, metrics


def read_job(services: Services, job_id: str) -> tuple[JobView, int]:
    """Return a job and the version of its row.

    Raises:
        JobNotFound: there is no such job.
    """
    with services.database.read() as session:
        details = job_details.read(session, jobs.get_whole(session, job_id), services.settings.lease_seconds)
        has_epochs = details.job.epoch > 0
        losses = metrics.losses(session, job_id) if has_epochs else []
        rate_share = metrics.rate_share(session, job_id) if has_epochs else 1.0
    return job_view(details, losses, languages.preferred(), rate_share=rate_share), details.job.version


def has_changed(services: Services, job_id: str, version: int) -> bool:
    """Tell whether a job has another version, or is gone."""
    try:
        with services.database.read() as session:
            return jobs.version(session, job_id) != version
    except JobNotFound:
        return True


def etag_of(view: JobView, version: int) -> str:
    # What a job waits for changes without the job, so it is part of the tag while the job is queued.
    queue = f"-{zlib.crc32(view.queue.model_dump_json().encode()):08x}" if view.queue else ""
    return f"{version}{queue}-{languages.preferred()}"


def tagged(response: Response, etag: str) -> Response:
    response.set_etag(etag)
    return languages.declare(response)


def job_answer(services: Services, job_id: str, status: int) -> Response:
    """Answer a write with the job as it is after the commit."""
    view, version = read_job(services, job_id)
    return tagged(answer(view, status), etag_of(view, version))
