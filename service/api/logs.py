"""What a job's training process printed."""

from collections.abc import Iterator, Sequence

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from sqlalchemy.orm import Session

from fitqueue.views import LogLine, Page
from service import models
from service.api import PREFIX
from service.api.context import Services, get_services
from service.api.following import CHUNK_ROWS, follow_rows, last_id, next_cursor
from service.api.parameters import ALWAYS, MAX_ROWS, FollowQuery, JobPath, answer, problems
from service.api.views import log_line
from service.store import jobs, logs

blueprint = APIBlueprint(
    "logs", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)


class LogsQuery(FollowQuery):
    tail: int | None = Field(default=None, ge=1, le=MAX_ROWS, description="only the last lines; not with `follow`")

    @property
    def is_limited(self) -> bool:
        """Whether the client set a limit: the default limit of a page does not apply to text."""
        return self.tail is not None or "limit" in self.model_fields_set


@blueprint.get("/logs", summary="Log of a job", responses={200: Page[LogLine], **problems(404)})
def get_job_logs(path: JobPath, query: LogsQuery) -> Response:
    """The lines as JSON, as plain text (`Accept: text/plain`), or with `follow` as server-sent events.

    Plain text is the whole log unless `limit` or `tail` says otherwise.
    """
    services = get_services()
    with services.database.read() as session:
        jobs.get(session, path.job_id)
        rows = [] if query.follow else _read(session, path.job_id, query)
    if query.follow:
        return follow_rows(
            services, path.job_id, logs.list_after, log_line, lambda line: line.stream, last_id(query.start)
        )
    cursor = None if query.tail else next_cursor(rows, query.limit)
    lines = rows if query.tail else rows[: query.limit]
    if request.accept_mimetypes.best_match(["application/json", "text/plain"]) != "text/plain":
        return answer(Page[LogLine](data=[log_line(row) for row in lines], next_cursor=cursor))
    is_complete = query.is_limited or cursor is None
    text = _text(lines) if is_complete else _text_to_the_end(services, path.job_id, lines)
    return Response(text, mimetype="text/plain")


def _read(session: Session, job_id: str, query: LogsQuery) -> Sequence[models.LogLine]:
    """Return the lines; of a page, one more than asked for, which tells whether there is a next page."""
    if query.tail:
        return logs.tail(session, job_id, query.tail)
    return logs.list_after(session, job_id, query.start, query.limit + 1)


def _text(lines: Sequence[models.LogLine]) -> str:
    return "".join(f"{line.text}\n" for line in lines)


def _text_to_the_end(services: Services, job_id: str, lines: Sequence[models.LogLine]) -> Iterator[str]:
    """Yield these lines and all after them: plain text has no cursor, and would seem to end where a page does."""
    while lines:
        yield _text(lines)
        with services.database.read() as session:
            lines = logs.list_after(session, job_id, lines[-1].id, CHUNK_ROWS)
