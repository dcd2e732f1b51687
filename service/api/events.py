"""What happened to a job."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.views import EventView, Page
from service.api import PREFIX
from service.api.context import get_services
from service.api.following import follow_rows, last_id, next_cursor
from service.api.parameters import ALWAYS, FollowQuery, JobPath, answer, problems
from service.api.views import event_view
from service.store import events, jobs

blueprint = APIBlueprint(
    "events", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)


@blueprint.get("/events", summary="Events of a job", responses={200: Page[EventView], **problems(404)})
def get_job_events(path: JobPath, query: FollowQuery) -> Response:
    """Oldest first. With `follow`, server-sent events, which accept `Last-Event-ID`."""
    services = get_services()
    with services.database.read() as session:
        jobs.get(session, path.job_id)
        rows = [] if query.follow else events.list_after(session, path.job_id, query.start, query.limit + 1)
    if query.follow:
        return follow_rows(
            services, path.job_id, events.list_after, event_view, lambda event: event.kind, last_id(query.start)
        )
    data = [event_view(row) for row in rows[: query.limit]]
    return answer(Page[EventView](data=data, next_cursor=next_cursor(rows, query.limit)))
