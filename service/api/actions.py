"""What users ask of a job: that it is cancelled, paused, resumed, extended. Each can be asked again without harm."""

from collections.abc import Callable
from typing import Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from fitqueue.spec import MAX_EPOCHS, parse_json
from fitqueue.views import JobView
from service.api import PREFIX
from service.api.context import services, token_id
from service.api.errors import invalid_request
from service.api.jobs import etag_of, json_body, tagged, view_of
from service.api.parameters import ALWAYS, JobPath, answer, problems
from service.models import Job
from service.store import actions

blueprint = APIBlueprint(
    "actions", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)


class Extension(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    epochs: int = Field(ge=1, le=MAX_EPOCHS, description="how many epochs more")


_EXTENSION_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Extension.model_json_schema(), "example": {"epochs": 20}}},
    }
}


@blueprint.post("/cancel", summary="Cancel a job", responses={202: JobView, **problems(404, 409)})
def cancel_job(path: JobPath) -> Response:
    """A job that waits is cancelled at once; one that runs is asked to stop. What it trained stays fetchable."""
    return _asked(path, actions.cancel)


@blueprint.post("/pause", summary="Pause a job", responses={202: JobView, **problems(404, 409)})
def pause_job(path: JobPath) -> Response:
    """One that runs is asked to leave its worker after a batch. It holds no device until it is resumed."""
    return _asked(path, actions.pause)


@blueprint.post("/resume", summary="Resume a paused job", responses={202: JobView, **problems(404, 409)})
def resume_job(path: JobPath) -> Response:
    """It goes on exactly where it was paused, as soon as a worker is free."""
    return _asked(path, actions.resume, notify=True)


@blueprint.post(
    "/extend",
    summary="Extend an ended job",
    openapi_extensions=_EXTENSION_BODY,
    responses={202: JobView, **problems(400, 404, 409, 413, 415)},
)
def extend_job(path: JobPath) -> Response:
    """It goes on from where it stopped, by so many epochs more: as a job does that was submitted with all of them."""
    raw = parse_json(json_body())
    try:
        wanted = Extension.model_validate(raw)
    except ValidationError as error:
        raise invalid_request(error, of_body=True) from error
    return _asked(path, lambda session, job_id, by: actions.extend(session, job_id, wanted.epochs, by), notify=True)


def _asked(path: JobPath, wish: Callable[[Session, str, str], Job], *, notify: bool = False) -> Response:
    """Have the store do it. `notify`: workers may have work after it."""
    parts = services()
    with parts.database.write() as session:
        job = wish(session, path.job_id, token_id())
        view = view_of(session, parts, job)
        version = job.version
    if notify:
        parts.notifier.notify(view.pool)
    return tagged(answer(view, 202), etag_of(view, version))
