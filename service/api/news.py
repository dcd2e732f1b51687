"""What is new of a job: all that an open page needs, in one request."""

import zlib
from typing import Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from pydantic_core import to_json

from fitqueue.states import JobState
from fitqueue.views import JobNews
from service.api import PREFIX, languages
from service.api.context import Services, get_services
from service.api.job_answers import read_diagnosis, tagged
from service.api.parameters import ALWAYS, JobPath, Query, RowNumber, problems
from service.api.views import epoch_fields, event_view, job_summary, log_line, step_fields
from service.store import events, job_details, jobs, logs, metrics, news, step_metrics

blueprint = APIBlueprint(
    "news", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

MAX_EPOCHS: Final = 5_000
MAX_LINES: Final = 1_000
MAX_EVENTS: Final = 1_000


class NewsQuery(Query):
    attempt: int = Field(default=0, ge=0, description="the attempt that the client knows")
    epoch: RowNumber = Field(default=0, description="the last epoch that the client has")
    point: RowNumber = Field(default=0, description="the ordinal of the last point within an epoch that it has")
    event: RowNumber = Field(default=0, description="the id of the last event that it has")
    line: RowNumber = Field(default=0, description="the id of the last line of the log that it has")


@blueprint.get("/news", summary="What is new of a job", responses={200: JobNews, 304: None, **problems(404)})
def get_news(path: JobPath, query: NewsQuery) -> Response:
    """The job, and the epochs, points, events and lines after those that the client has, of one moment.

    304 if nothing is new since the answer whose ETag `If-None-Match` repeats. If an attempt has resumed at an earlier
    epoch, `valid_epoch` is below `epoch`: the client drops the epochs and points after it, and `epochs` replaces them.
    With `is_complete` false, ask again at once.
    """
    services = get_services()
    with services.database.read() as session:
        stamp = news.stamp(session, path.job_id)
    # What a queued job waits for changes without the job.
    body = _read(services, path.job_id, query) if stamp.state is JobState.QUEUED else None
    etag = f"{zlib.crc32(body):08x}" if body else f"{stamp.version}-{stamp.line}-{languages.preferred()}"
    if request.if_none_match.contains_weak(etag):
        return tagged(Response(status=304), etag)
    body = body or _read(services, path.job_id, query)
    return tagged(Response(body, mimetype="application/json"), etag)


def _read(services: Services, job_id: str, query: NewsQuery) -> bytes:
    with services.database.read() as session:
        details = job_details.read(session, jobs.get(session, job_id), services.settings.lease_seconds)
        job = details.job
        valid_epoch = query.epoch
        if job.attempt != query.attempt:
            valid_epoch = news.valid_epoch(session, job_id, query.attempt, query.epoch)
        # The points of another attempt may have been replaced: all are sent again.
        point = query.point if job.attempt == query.attempt else 0
        epochs = metrics.list_after(session, job_id, valid_epoch, MAX_EPOCHS)
        points = step_metrics.list_after(session, job_id, 0, point, step_metrics.MAX_POINTS)
        new_events = events.list_after(session, job_id, query.event, MAX_EVENTS)
        lines = logs.list_after(session, job_id, query.line, MAX_LINES)
        diagnosis = read_diagnosis(session, job) if epochs or job.state.is_final else None
    fields = {
        "job": job_summary(details),
        "diagnosis": diagnosis,
        "valid_epoch": valid_epoch,
        "epochs": [epoch_fields(row) for row in epochs],
        "valid_point": point,
        "points": [{"ordinal": row.ordinal, **step_fields(row)} for row in points],
        "events": [event_view(row) for row in new_events],
        "lines": [log_line(row) for row in lines],
        "is_complete": len(epochs) < MAX_EPOCHS and len(new_events) < MAX_EVENTS and len(lines) < MAX_LINES,
    }
    return to_json(fields)
