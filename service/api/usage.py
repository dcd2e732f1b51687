"""What a job uses."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy.orm import Session

from fitqueue.views import JobUsage
from service import clock
from service.api import PREFIX
from service.api.context import get_services
from service.api.parameters import ALWAYS, JobPath, answer, problems
from service.api.views import job_usage
from service.models import Job
from service.store import jobs, usage

blueprint = APIBlueprint(
    "usage", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)


@blueprint.get("/usage", summary="What a job has used", responses={200: JobUsage, **problems(404)})
def get_job_usage(path: JobPath) -> Response:
    """Seconds of GPUs and processors, peaks of memory, and bytes that are stored.

    A running job is measured every few seconds.
    """
    with get_services().database.read() as session:
        view = read_usage(session, jobs.get(session, path.job_id))
    return answer(view)


def read_usage(session: Session, job: Job) -> JobUsage:
    """Return what a job has used until now."""
    return job_usage(job, clock.now(session), usage.stored_bytes(session, job.id))
