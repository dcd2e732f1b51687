"""What users ask of a job: to cancel, pause, resume, extend or move it. Each can be asked again without harm."""

from collections.abc import Callable

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from fitqueue.audit_actions import AuditAction
from fitqueue.spec import MAX_EPOCHS
from fitqueue.views import JobView
from service.api import PREFIX, auditing
from service.api.context import get_services, principal
from service.api.errors import validated
from service.api.job_answers import job_answer
from service.api.parameters import ALWAYS, JobPath, json_body, json_request, problems
from service.models import Job
from service.store import actions, job_changes, jobs

blueprint = APIBlueprint(
    "actions", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)


class Extension(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    epochs: int = Field(ge=1, le=MAX_EPOCHS, description="how many more epochs")


@blueprint.post(
    "/move-to-front",
    summary="Move a job to the front of its pool",
    responses={200: JobView, **problems(403, 404, 409)},
)
def move_job_to_front(path: JobPath) -> Response:
    """It gets the lowest priority with which it is the next job of its pool. It must be queued or paused."""
    return _perform(path, AuditAction.JOB_MOVE_TO_FRONT, _move_to_front, notify=True, status=200)


@blueprint.post("/cancel", summary="Cancel a job", responses={202: JobView, **problems(404, 409)})
def cancel_job(path: JobPath) -> Response:
    """A queued job is cancelled at once; a running one is asked to stop. What it trained stays fetchable."""
    return _perform(path, AuditAction.JOB_CANCEL, actions.cancel)


@blueprint.post("/pause", summary="Pause a job", responses={202: JobView, **problems(404, 409)})
def pause_job(path: JobPath) -> Response:
    """A running job is asked to leave its worker after a batch. It holds no device until it is resumed."""
    return _perform(path, AuditAction.JOB_PAUSE, actions.pause)


@blueprint.post("/resume", summary="Resume a paused job", responses={202: JobView, **problems(404, 409)})
def resume_job(path: JobPath) -> Response:
    """It resumes exactly where it was paused, as soon as a worker is free."""
    return _perform(path, AuditAction.JOB_RESUME, actions.resume, notify=True)


@blueprint.post(
    "/extend",
    summary="Extend an ended job",
    openapi_extensions=json_request(Extension, {"epochs": 20}),
    responses={202: JobView, **problems(400, 404, 409, 413, 415)},
)
def extend_job(path: JobPath) -> Response:
    """It resumes where it stopped and trains this many more epochs, like a job that was submitted with all of them."""
    extension = validated(Extension, json_body())
    max_epochs = get_services().settings.max_epochs

    def extend(session: Session, job_id: str, by: str) -> Job:
        return actions.extend(session, job_id, extension.epochs, by, max_epochs=max_epochs)

    return _perform(path, AuditAction.JOB_EXTEND, extend, notify=True, data={"epochs": extension.epochs})


def _move_to_front(session: Session, job_id: str, by: str) -> Job:
    who = principal()
    turns = get_services().settings.turns_by
    return job_changes.move_to_front(session, job_id, by, who.max_priority, who.viewer, turns)


def _perform(
    path: JobPath,
    recorded: AuditAction,
    action: Callable[[Session, str, str], Job],
    *,
    notify: bool = False,
    status: int = 202,
    data: dict[str, object] | None = None,
) -> Response:
    """Have the store do it, and answer with the job.

    Args:
        path: names the job.
        recorded: what the audit log says of it, if it changes the job.
        action: does it.
        notify: whether workers may have work after it.
        status: that of the answer.
        data: is recorded with it.
    """
    services = get_services()
    with services.database.write() as session:
        version = jobs.version(session, path.job_id)
        job = action(session, path.job_id, principal().user)
        pool = job.pool
        if job.version != version:
            auditing.record(session, recorded, job.id, data)
    if notify:
        services.notifier.notify(pool)
    return job_answer(services, path.job_id, status)
