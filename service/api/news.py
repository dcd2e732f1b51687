"""What is new of a job: all that an open page needs, in one request."""

import zlib
from typing import Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from pydantic_core import to_json
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from fitqueue.views import JobNews
from service.api import PREFIX, languages
from service.api.context import Services, get_services
from service.api.job_answers import read_diagnosis, tagged
from service.api.parameters import ALWAYS, JobPath, Query, RowNumber, problems
from service.api.views import epoch_fields, event_view, job_summary, log_line, step_fields
from service.store import events, job_details, jobs, logs, metrics, news, queue_position, step_metrics

blueprint = APIBlueprint(
    "news", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

MAX_EPOCHS: Final = 5_000
MAX_LINES: Final = 1_000
MAX_EVENTS: Final = 1_000

_MAX_INTEGER: Final = 2**31 - 1


class NewsQuery(Query):
    epoch: int = Field(default=0, ge=0, le=_MAX_INTEGER, description="the last epoch that the client has")
    epoch_attempt: int = Field(default=0, ge=0, le=_MAX_INTEGER, description="the attempt that trained it")
    point: int = Field(
        default=0, ge=0, le=_MAX_INTEGER, description="the ordinal of the last point within an epoch that it has"
    )
    point_attempt: int = Field(default=0, ge=0, le=_MAX_INTEGER, description="the attempt of that point")
    event: RowNumber = Field(default=0, description="the id of the last event that it has")
    line: RowNumber = Field(default=0, description="the id of the last line of the log that it has")


@blueprint.get("/news", summary="What is new of a job", responses={200: JobNews, 304: None, **problems(404)})
def get_news(path: JobPath, query: NewsQuery) -> Response:
    """The job, and the epochs, points, events and lines after those that the client has, of one moment.

    304 if nothing is new since the answer whose ETag `If-None-Match` repeats. If an attempt has resumed at an earlier
    position, `valid_epoch` and `valid_point` are below what the client has: it drops what is after them, and what the
    answer has replaces it.
    With `is_complete` false, ask again at once.
    """
    services = get_services()
    with services.database.read() as session:
        etag = _etag(session, services, path.job_id)
    if request.if_none_match.contains_weak(etag):
        return tagged(Response(status=304), etag)
    return tagged(Response(_read(services, path.job_id, query), mimetype="application/json"), etag)


def _etag(session: Session, services: Services, job_id: str) -> str:
    """Return what changes whenever there is news. It is read before the news, so it may be older than they are."""
    stamp = news.stamp(session, job_id)
    waits = ""
    if stamp.state is JobState.QUEUED:  # what it waits for changes without the job
        positions = queue_position.read(session, [jobs.get(session, job_id)], services.settings.lease_seconds)
        waits = f"-{zlib.crc32(repr(positions).encode()):08x}"
    return f"{stamp.version}-{stamp.line}{waits}-{languages.preferred()}"


def _read(services: Services, job_id: str, query: NewsQuery) -> bytes:
    with services.database.read() as session:
        details = job_details.read(session, jobs.get(session, job_id), services.settings.lease_seconds)
        job = details.job
        valid_epoch = news.valid_epoch(session, job_id, query.epoch, query.epoch_attempt)
        valid_point = news.valid_point(session, job_id, query.point, query.point_attempt)
        epochs = metrics.list_after(session, job_id, valid_epoch, MAX_EPOCHS)
        points = step_metrics.list_after(session, job_id, 0, valid_point, step_metrics.MAX_POINTS)
        new_events = events.list_after(session, job_id, query.event, MAX_EVENTS)
        lines = logs.list_after(session, job_id, query.line, MAX_LINES)
        diagnosis = read_diagnosis(session, job) if epochs or job.state.is_final else None
    fields = {
        "job": job_summary(details),
        "diagnosis": diagnosis,
        "valid_epoch": valid_epoch,
        "epochs": [epoch_fields(row) for row in epochs],
        "valid_point": valid_point,
        "points": [{"ordinal": row.ordinal, **step_fields(row)} for row in points],
        "events": [event_view(row) for row in new_events],
        "lines": [log_line(row) for row in lines],
        "is_complete": len(epochs) < MAX_EPOCHS and len(new_events) < MAX_EVENTS and len(lines) < MAX_LINES,
    }
    return to_json(fields)
