"""How the routes of a job read it and answer with it: whole or in part, its ETag, and the language of its diagnosis."""

import hashlib
import zlib
from collections.abc import Set
from dataclasses import dataclass

from flask import Response, request
from pydantic_core import to_json
from sqlalchemy.orm import Session

from fitqueue.diagnosis import Diagnosis
from fitqueue.errors import JobNotFound
from fitqueue.text import about
from fitqueue.views import JobView, QueuePosition
from service.api import languages
from service.api.context import Services
from service.api.job_fields import LARGE_FIELDS
from service.api.parameters import answer
from service.api.views import job_fields, job_view
from service.models import Job
from service.store import diagnoses, job_details, jobs
from service.store.job_details import JobDetails


@dataclass(frozen=True)
class JobAnswer:
    """A job as it was at some moment, or some of its fields.

    Attributes:
        content: the JSON; None if the client has it already, by its `If-None-Match`.
        version: that of its row.
        has_ended: whether it will not change by itself any more.
    """

    content: bytes | None
    etag: str
    version: int
    has_ended: bool

    def response(self) -> Response:
        """Return the answer to a GET."""
        if self.content is None:
            return tagged(Response(status=304), self.etag)
        return tagged(Response(self.content, mimetype="application/json"), self.etag)


def read_answer(services: Services, job_id: str, fields: Set[str] | None) -> JobAnswer:
    """Read a job, or some of its fields, as a GET answers it.

    Raises:
        JobNotFound: there is no such job.
    """
    return _read_whole(services, job_id) if fields is None else _read_fields(services, job_id, fields)


def _read_whole(services: Services, job_id: str) -> JobAnswer:
    """Read all of a job, unless the client has this version: then its large columns and its metrics are not read."""
    with services.database.read() as session:
        known = _known_answer(session, services, job_id) if request.if_none_match else None
        if known is not None:
            return known
        details, diagnosis = load_job(session, services, job_id)
    view = job_view(details, diagnosis)
    etag = etag_of(view.queue, details.job.version)
    return JobAnswer(view.model_dump_json().encode(), etag, details.job.version, view.state.is_final)


def _known_answer(session: Session, services: Services, job_id: str) -> JobAnswer | None:
    """Return the answer without its content if the client has it already."""
    job = jobs.get(session, job_id)
    queues = job_details.read_queue(session, [job], services.settings.lease_seconds, services.forecaster)
    position, _ = queues.get(job_id, (None, None))
    etag = etag_of(position, job.version)
    if not request.if_none_match.contains_weak(etag):
        return None
    return JobAnswer(None, etag, job.version, job.state.is_final)


def _read_fields(services: Services, job_id: str, fields: Set[str]) -> JobAnswer:
    """Read some fields of a job. Their ETag is that of the content, so it stays while other fields change."""
    with services.database.read() as session:
        job = jobs.get_whole(session, job_id) if LARGE_FIELDS.intersection(fields) else jobs.get(session, job_id)
        details = job_details.read(session, job, services.settings.lease_seconds, services.forecaster, fields)
        diagnosis = read_diagnosis(session, job) if "diagnosis" in fields else None
    content = to_json(job_fields(details, diagnosis, fields))
    etag = hashlib.sha256(content).hexdigest()[:20]
    is_known = request.if_none_match.contains_weak(etag)
    return JobAnswer(None if is_known else content, etag, job.version, job.state.is_final)


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
    return diagnoses.read(session, job, languages.preferred())


def has_changed(services: Services, job_id: str, version: int) -> bool:
    """Tell whether a job has another version, or is gone."""
    try:
        with services.database.read() as session:
            return jobs.version(session, job_id) != version
    except JobNotFound:
        return True


def etag_of(queue: QueuePosition | None, version: int) -> str:
    return f"{version}{tag_of_queue(queue)}-{languages.preferred()}"


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
    return tagged(answer(view, status), etag_of(view.queue, version))
