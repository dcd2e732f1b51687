"""Jobs: submitted, listed, watched, deleted."""

import hashlib
import json
import logging
import zlib
from typing import Annotated, Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field, StringConstraints
from sqlalchemy.orm import Session

from fitqueue.errors import DatasetNotFound, Fault, InvalidRequest, JobNotFound, UnsupportedMediaType
from fitqueue.spec import parse_json
from fitqueue.states import JobState
from fitqueue.views import DryRun, JobSummary, JobView, Page
from service.api import PREFIX, languages
from service.api.context import Services, services, token_id
from service.api.following import wait_until
from service.api.job_check import CheckedJob, DatasetFinder, check_job, dataset_is_gone
from service.api.parameters import ALWAYS, JobPath, PageQuery, Query, Text, answer, problems
from service.ids import new_id
from service.models import Job
from service.store import job_details, jobs
from service.store.jobs import Filter, Idempotency

blueprint = APIBlueprint(
    "jobs", __name__, url_prefix=f"{PREFIX}/jobs", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

MAX_WAIT = 60

_logger = logging.getLogger(__name__)

_BODY = {
    "requestBody": {
        "required": True,
        "description": "The job. `GET /catalogue` lists the layers, optimizers, losses, metrics and callbacks.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["model", "compile", "data"]},
                "example": {
                    "name": "digits",
                    "model": {
                        "class_name": "Sequential",
                        "config": {
                            "layers": [
                                {"class_name": "Input", "config": {"shape": [8, 8]}},
                                {"class_name": "Flatten"},
                                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
                            ]
                        },
                    },
                    "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
                    "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
                    "fit": {"epochs": 5},
                },
            }
        },
    },
    "parameters": [
        {
            "name": "dry_run",
            "in": "query",
            "schema": {"type": "boolean", "default": False},
            "description": "Check the job and store nothing.",
        },
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "The same key and body, again, give the same job.",
        },
    ],
}


class SubmitQuery(Query):
    dry_run: bool = Field(default=False, description="check the job and store nothing")


class ListQuery(PageQuery):
    state: list[JobState] = Field(default=[], max_length=len(JobState), description="any of these")
    label: list[Annotated[str, StringConstraints(pattern=r"^[^=\x00]+=[^\x00]*$")]] = Field(
        default=[], max_length=16, description="`key=value`; all of them"
    )
    pool: Text | None = Field(default=None, max_length=64)
    name: Text | None = Field(default=None, max_length=128)

    @property
    def labels(self) -> list[tuple[str, str]]:
        return [(key, value) for key, _, value in (label.partition("=") for label in self.label)]


class GetQuery(Query):
    wait: int = Field(
        default=0,
        ge=0,
        le=MAX_WAIT,
        description="seconds to wait for a change: from what `If-None-Match` names, or else from now",
    )


@blueprint.post(
    "",
    summary="Submit a job",
    openapi_extensions=_BODY,
    responses={201: JobView, 200: DryRun, **problems(400, 413, 415)},
)
def submit(query: SubmitQuery) -> Response:
    """The body is checked whole: 422 names every fault. With `dry_run` nothing is stored, and the answer is 200."""
    raw = parse_json(json_body())
    parts = services()
    idempotency = _idempotency(raw)
    if not query.dry_run and (earlier := _find_earlier(parts, idempotency)) is not None:
        return _created(earlier, replayed=True)
    finder = DatasetFinder(parts)
    checked = check_job(parts, raw, finder)
    if query.dry_run:
        return answer(DryRun(spec=checked.spec.to_json(), notices=checked.notices, model=checked.summary))
    job_id = new_id("job")
    view = _stored(parts, job_id, checked, finder.uploaded(checked.spec.data.dataset), idempotency)
    if view.id != job_id:
        return _created(view, replayed=True)  # the same request came first while this one was checked
    _logger.info("A job was stored.", extra={"job": view.id, "pool": view.pool})
    parts.notifier.notify(view.pool)
    return _created(view, replayed=False)


@blueprint.get("", summary="List jobs", responses={200: Page[JobSummary]})
def list_jobs(query: ListQuery) -> Response:
    """Newest first."""
    parts = services()
    wanted = Filter(states=query.state, labels=query.labels, pool=query.pool, name=query.name)
    with parts.database.read() as session:
        rows, cursor = jobs.list_page(session, wanted, query.cursor, query.limit)
        data = job_details.summaries(session, rows, parts.settings.lease_seconds)
    return answer(Page[JobSummary](data=data, next_cursor=cursor))


@blueprint.get("/<job_id>", summary="Get a job", responses={200: JobView, 304: None, **problems(404)})
def get_job(path: JobPath, query: GetQuery) -> Response:
    """Answers 304 where the job is still as `If-None-Match` says. `Accept-Language: zh`: the diagnosis in Chinese."""
    parts = services()
    view, version = _read(parts, path.job_id)
    known = request.if_none_match
    if query.wait and not view.state.is_final and (not known or known.contains_weak(etag_of(view, version))):
        wait_until(parts, lambda: _has_changed(parts, path.job_id, version), query.wait)
        view, version = _read(parts, path.job_id)
    etag = etag_of(view, version)
    if known.contains_weak(etag):
        return tagged(Response(status=304), etag)
    return tagged(answer(view), etag)


@blueprint.delete("/<job_id>", summary="Delete an ended job", responses={204: None, **problems(404, 409)})
def delete_job(path: JobPath) -> Response:
    """Its metrics, events, logs and weights go with it."""
    parts = services()
    with parts.database.write() as session:
        keys = jobs.delete(session, path.job_id)
    # After the commit: a file that outlives its row costs space, a row that outlives its file costs a download.
    for key in keys:
        parts.store.discard(key)
    return Response(status=204)


def json_body() -> bytes:
    if not request.is_json:
        raise UnsupportedMediaType(f"The Content-Type is '{request.content_type or ''}'; expected 'application/json'.")
    return request.get_data(cache=False)


def _idempotency(raw: Any) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        fault = Fault(
            pointer="Idempotency-Key",
            code="invalid_key",
            message="it must be 1 to 255 printable ASCII characters",
            received=key[:100],
        )
        raise InvalidRequest(errors=[fault])
    canonical = json.dumps(raw, sort_keys=True, separators=(",", ":"))
    return Idempotency(key, hashlib.sha256(canonical.encode()).hexdigest())


def _find_earlier(parts: Services, idempotency: Idempotency | None) -> JobView | None:
    if idempotency is None:
        return None
    with parts.database.read() as session:
        job = jobs.find_earlier(session, token_id(), idempotency)
        return None if job is None else view_of(session, parts, job)


def _stored(
    parts: Services, job_id: str, checked: CheckedJob, dataset_id: str | None, idempotency: Idempotency | None
) -> JobView:
    """The job under this id, or the one that the same request made before."""
    try:
        with parts.database.write() as session:
            job = jobs.create(
                session,
                checked.spec,
                checked.notices,
                job_id=job_id,
                summary=checked.summary,
                dataset_id=dataset_id,
                token_id=token_id(),
                idempotency=idempotency,
            )
            return view_of(session, parts, job)
    except DatasetNotFound as error:
        raise dataset_is_gone(checked.spec, error) from error


def _created(view: JobView, *, replayed: bool) -> Response:
    headers = {"Location": f"{PREFIX}/jobs/{view.id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return languages.tell(answer(view, 201, headers))


def _read(parts: Services, job_id: str) -> tuple[JobView, int]:
    with parts.database.read() as session:
        job = jobs.get(session, job_id)
        return view_of(session, parts, job), job.version


def view_of(session: Session, parts: Services, job: Job) -> JobView:
    return job_details.view(session, job, parts.settings.lease_seconds, languages.wanted())


def _has_changed(parts: Services, job_id: str, version: int) -> bool:
    try:
        with parts.database.read() as session:
            return jobs.version(session, job_id) != version
    except JobNotFound:
        return True


def etag_of(view: JobView, version: int) -> str:
    # What a job waits for changes without the job: it is part of the tag while there is a queue.
    queue = f"-{zlib.crc32(view.queue.model_dump_json().encode()):08x}" if view.queue else ""
    return f"{version}{queue}-{languages.wanted()}"


def tagged(response: Response, etag: str) -> Response:
    response.set_etag(etag)
    return languages.tell(response)
