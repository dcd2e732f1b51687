"""Jobs: submit, list, watch, change, delete."""

from collections.abc import Sequence
from typing import Annotated, Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from pydantic_core import to_json

from fitqueue.audit_actions import AuditAction
from fitqueue.job_sort import JobSort
from fitqueue.spec import JobChange, parse_change
from fitqueue.spec.strict import Pattern
from fitqueue.states import JobState
from fitqueue.views import DryRun, JobSummary, JobView, Page
from service.api import PREFIX, auditing, languages, submission
from service.api.addresses import address_of
from service.api.context import Services, get_services, principal
from service.api.description import NEW_JOB
from service.api.following import wait_until
from service.api.job_answers import JobAnswer, has_changed, job_answer, read_answer, read_job
from service.api.job_fields import JOB_FIELDS, SUMMARY_FIELDS, chosen, fields_parameter
from service.api.parameters import ALWAYS, JobPath, PageQuery, Query, Text, answer, json_body, problems
from service.api.submission import Submitted
from service.api.views import job_fields, job_summary
from service.store import job_changes, job_details, job_list, jobs
from service.store.access import Viewer
from service.store.job_changes import ChangeRules
from service.store.job_cursors import MAX_CHARACTERS
from service.store.job_details import Fields, JobDetails
from service.store.job_list import Filter

blueprint = APIBlueprint(
    "jobs", __name__, url_prefix=f"{PREFIX}/jobs", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

MAX_WAIT: Final = 60

_BODY = {
    "requestBody": {
        "required": True,
        "description": (
            "The job. `GET /catalogue` lists the layers, optimizers, losses, metrics and callbacks. What older "
            "versions of Keras wrote is accepted, too, and is translated."
        ),
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{NEW_JOB}"},
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
    "x-headers": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "the same key and body again give the same job",
        },
    ],
}

_CHANGE_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "A JSON merge patch: what is left out stays as it is, and null stands for the default.",
        "content": {
            "application/json": {
                "schema": JobChange.model_json_schema(),
                "example": {"priority": 10, "pool": "gpu", "labels": {"team": "vision"}},
            }
        },
    }
}


class SubmitQuery(Query):
    dry_run: bool = Field(default=False, description="check the job and store nothing")


class ListQuery(PageQuery):
    state: list[JobState] = Field(default=[], max_length=len(JobState), description="any of these")
    label: list[Annotated[str, Pattern(r"[^=\x00]+=[^\x00]*", "a label and its value, as in `team=vision`")]] = Field(
        default=[], max_length=16, description="`key=value`; all of them"
    )
    pool: Text | None = Field(default=None, max_length=64)
    name: Text | None = Field(default=None, max_length=128)
    submitted_by: Text | None = Field(
        default=None, max_length=128, description="the name of the token that a job was submitted with"
    )
    owner: Text | None = Field(default=None, max_length=64, description="the name of a user")
    project: Text | None = Field(default=None, max_length=64, description="the name of a project")
    dataset: Text | None = Field(
        default=None, max_length=128, description="the id or name of a data set that a job takes data or weights from"
    )
    sort: JobSort = Field(default=JobSort.NEWEST, description="the order of the jobs")
    fields: fields_parameter(SUMMARY_FIELDS) = Field(  # type: ignore[valid-type]  # a type made at run time
        default=[], description="only these fields of each job, as in `id,state,progress`"
    )
    cursor: Text | None = Field(
        default=None, max_length=MAX_CHARACTERS, description="`next_cursor` of the page before, with the same `sort`"
    )

    def filter(self, viewer: Viewer) -> Filter:
        return Filter(
            states=self.state,
            labels=self.labels,
            pool=self.pool,
            name=self.name,
            submitted_by=self.submitted_by,
            dataset=self.dataset,
            owner=self.owner,
            project=self.project,
            viewer=viewer,
        )

    @property
    def labels(self) -> list[tuple[str, str]]:
        return [(key, value) for key, _, value in (label.partition("=") for label in self.label)]


class GetQuery(Query):
    fields: fields_parameter(JOB_FIELDS) = Field(  # type: ignore[valid-type]  # a type made at run time
        default=[], description="only these fields of the job, as in `progress,best,state`"
    )
    wait: int = Field(
        default=0,
        ge=0,
        le=MAX_WAIT,
        description="seconds to wait for a change: from the version that `If-None-Match` names, or else from now",
    )


@blueprint.post(
    "",
    summary="Submit a job",
    openapi_extensions=_BODY,
    responses={201: JobView, 200: DryRun, **problems(400, 413, 415)},
)
def create_job(query: SubmitQuery) -> Response:
    """The whole body is checked: 422 names every fault. With `dry_run` nothing is stored, and the answer is 200.

    If too many models are being checked, a dry run gets 503, and a job is accepted `unchecked`.
    """
    body = json_body()
    services = get_services()
    idempotency = submission.idempotency_of(body, request.headers.get("Idempotency-Key"))
    if query.dry_run:
        return answer(submission.dry_run(services, body))
    return _created(services, submission.submit(services, body, idempotency))


@blueprint.get("", summary="List jobs", responses={200: Page[JobSummary]})
def list_jobs(query: ListQuery) -> Response:
    """The newest first, unless `sort` says otherwise. A filter that nothing matches gives an empty list."""
    fields = chosen(query.fields, SUMMARY_FIELDS)
    if fields is None:
        return answer(read_jobs(get_services(), query))
    details, cursor, total = _read_page(get_services(), query, fields)
    data = [job_fields(job, None, fields) for job in details]
    counted = {} if total is None else {"total": total}
    return Response(to_json({"data": data, "next_cursor": cursor, **counted}), mimetype="application/json")


def read_jobs(services: Services, query: ListQuery) -> Page[JobSummary]:
    """Return a page of the list of jobs.

    Raises:
        InvalidRequest: the cursor is not one of this list.
    """
    details, cursor, total = _read_page(services, query)
    return Page[JobSummary](data=[job_summary(job) for job in details], next_cursor=cursor, total=total)


def _read_page(
    services: Services, query: ListQuery, fields: Fields = None
) -> tuple[Sequence[JobDetails], str | None, int | None]:
    filter = query.filter(principal().viewer)
    with services.database.read() as session:
        rows, cursor = job_list.list_page(session, filter, query.cursor, query.limit, query.sort)
        details = job_details.read_all(session, rows, services.settings.lease_seconds, services.forecaster, fields)
        total = job_list.count(session, filter) if query.total else None
    return details, cursor, total


@blueprint.get("/<job_id>", summary="Get a job", responses={200: JobView, 304: None, **problems(404)})
def get_job(path: JobPath, query: GetQuery) -> Response:
    """304 if the job is as `If-None-Match` says. `Accept-Language: zh`: the diagnosis in Chinese.

    With `fields`, the answer has only these fields, and its ETag changes when one of them does.
    """
    services = get_services()
    fields = chosen(query.fields, JOB_FIELDS)
    found = read_answer(services, path.job_id, fields)
    if query.wait and not found.has_ended and (found.content is None or not request.if_none_match):
        found = _wait_for_change(services, path.job_id, fields, found, query.wait)
    return found.response()


def _wait_for_change(
    services: Services, job_id: str, fields: frozenset[str] | None, found: JobAnswer, seconds: float
) -> JobAnswer:
    """Wait until the job has another answer than the one that was found, or has ended; return the newest one."""
    newest = found

    def has_news() -> bool:
        nonlocal newest
        if not has_changed(services, job_id, newest.version):
            return False
        newest = read_answer(services, job_id, fields)
        return newest.etag != found.etag or newest.has_ended

    wait_until(services, has_news, seconds)
    # What a queued job waits for changes without the job.
    return newest if newest is not found else read_answer(services, job_id, fields)


@blueprint.patch(
    "/<job_id>",
    summary="Change a job that waits",
    openapi_extensions=_CHANGE_BODY,
    responses={200: JobView, **problems(400, 404, 409, 413, 415)},
)
def change_job(path: JobPath) -> Response:
    """Its name, labels, place in the queue and limits, while it is queued or paused. The spec changes with it."""
    services = get_services()
    change, who = parse_change(json_body()), principal()
    rules = ChangeRules(who.max_priority, services.settings.default_max_runtime_seconds)
    with services.database.write() as session:
        version = jobs.version(session, path.job_id)
        job = job_changes.change(session, path.job_id, change, who.user, rules)
        pool = job.pool
        if job.version != version:
            auditing.record(session, AuditAction.JOB_CHANGE, job.id, {"fields": sorted(change.model_fields_set)})
    services.notifier.notify(pool)
    return job_answer(services, path.job_id, 200)


@blueprint.delete("/<job_id>", summary="Delete an ended job", responses={204: None, **problems(404, 409)})
def delete_job(path: JobPath) -> Response:
    """Its metrics, events, logs and weights go with it. Workers then delete its rows and files, little by little."""
    with get_services().database.write() as session:
        jobs.delete(session, path.job_id)
        auditing.record(session, AuditAction.JOB_DELETE, path.job_id)
    return Response(status=204)


def _created(services: Services, submitted: Submitted) -> Response:
    headers = {"Location": address_of(f"/jobs/{submitted.job_id}")}
    if submitted.is_replayed:
        headers["Idempotency-Replayed"] = "true"
    view, _ = read_job(services, submitted.job_id)
    return languages.declare(answer(view, 201, headers))
