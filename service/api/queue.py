"""The queue: the jobs that wait, in the order in which workers claim them."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from fitqueue.views import Page, QueuedJob
from service.api import PREFIX
from service.api.context import Services, get_services, principal
from service.api.parameters import ALWAYS, PageQuery, Text, answer
from service.api.views import queued_job
from service.store import waiting_jobs
from service.store.waiting_jobs import QueueFilter

blueprint = APIBlueprint(
    "queue", __name__, url_prefix=f"{PREFIX}/queue", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)


class QueueQuery(PageQuery):
    pool: Text | None = Field(default=None, max_length=64)
    owner: Text | None = Field(default=None, max_length=64, description="only those of the user with this name")
    project: Text | None = Field(default=None, max_length=64, description="only those of the project with this name")
    cursor: Text | None = Field(
        default=None, max_length=waiting_jobs.MAX_CURSOR, description="`next_cursor` of the page before"
    )


@blueprint.get("", summary="List the queue", responses={200: Page[QueuedJob]})
def list_queue(query: QueueQuery) -> Response:
    """The jobs that wait for a worker, in the order in which they are claimed; without `pool`, pool by pool."""
    return answer(read_queue(get_services(), query))


def read_queue(services: Services, query: QueueQuery) -> Page[QueuedJob]:
    """Return a page of the queue.

    Raises:
        InvalidRequest: the cursor is not one of the queue.
    """
    filter = QueueFilter(query.pool, query.owner, query.project, principal().viewer)
    with services.database.read() as session:
        rows, cursor = waiting_jobs.list_page(
            session, filter, query.cursor, query.limit, services.settings.lease_seconds, services.forecaster
        )
        total = waiting_jobs.count(session, filter) if query.total else None
    return Page[QueuedJob](data=[queued_job(row) for row in rows], next_cursor=cursor, total=total)
