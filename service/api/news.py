"""What is new of a job: all that an open page needs, in one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from pydantic_core import to_json
from sqlalchemy.orm import Session

from fitqueue.diagnosis import Diagnosis
from fitqueue.states import JobState
from fitqueue.views import JobNews
from service.api import PREFIX, languages
from service.api.context import Services, get_services
from service.api.job_answers import read_diagnosis, tag_of_queue, tagged
from service.api.parameters import ALWAYS, JobPath, Query, RowNumber, problems
from service.api.views import epoch_fields, event_view, job_summary, log_line, step_fields
from service.models import Event, LogLine
from service.store import events, job_details, logs, metrics, news, step_metrics
from service.store.job_details import JobDetails
from service.store.metrics import EpochRow
from service.store.news import Known, Stamp
from service.store.step_metrics import StepRow

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


@dataclass
class _Rows:
    """What is new of a job."""

    details: JobDetails
    diagnosis: Diagnosis | None = None
    epochs: Sequence[EpochRow] = ()
    points: Sequence[StepRow] = ()
    events: Sequence[Event] = ()
    lines: Sequence[LogLine] = ()


@blueprint.get("/news", summary="What is new of a job", responses={200: JobNews, 304: None, **problems(404)})
def get_job_news(path: JobPath, query: NewsQuery) -> Response:
    """The job, and the epochs, points, events and lines after those that the client has, of one moment.

    304 if nothing is new since the answer whose ETag `If-None-Match` repeats. If an attempt has resumed at an earlier
    position, `valid_epoch` and `valid_point` are below what the client has: it drops what is after them, and what the
    answer has replaces it.
    With `is_complete` false, ask again at once.
    """
    services = get_services()
    known = Known(query.epoch, query.epoch_attempt, query.point, query.point_attempt)
    with services.database.read() as session:
        stamp = news.stamp(session, path.job_id, known)
        etag = _etag(session, services, stamp)
        rows = None if request.if_none_match.contains_weak(etag) else _read(session, services, stamp, query)
    if rows is None:
        return tagged(Response(status=304), etag)
    return tagged(Response(to_json(_fields(stamp, rows)), mimetype="application/json"), etag)


def _etag(session: Session, services: Services, stamp: Stamp) -> str:
    """Return what changes whenever there is news. It is of the same moment as they are."""
    queue = None
    if stamp.job.state is JobState.QUEUED:  # what it waits for changes without the job
        queues = job_details.read_queue(session, [stamp.job], services.settings.lease_seconds, services.forecaster)
        queue = queues[stamp.job.id][0] if stamp.job.id in queues else None
    return f"{stamp.job.version}-{stamp.last_line}{tag_of_queue(queue)}-{languages.preferred()}"


def _read(session: Session, services: Services, stamp: Stamp, query: NewsQuery) -> _Rows:
    """Read what is new. Of what the stamp has no more than the client, nothing is read."""
    job, job_id = stamp.job, stamp.job.id
    rows = _Rows(job_details.read(session, job, services.settings.lease_seconds, services.forecaster))
    if stamp.last_epoch > stamp.valid_epoch:
        rows.epochs = metrics.list_after(session, job_id, stamp.valid_epoch, MAX_EPOCHS)
    if stamp.last_point > stamp.valid_point:
        rows.points = step_metrics.list_after(session, job_id, 0, stamp.valid_point, step_metrics.MAX_POINTS)
    if stamp.last_event > query.event:
        rows.events = events.list_after(session, job_id, query.event, MAX_EVENTS)
    if stamp.last_line > query.line:
        rows.lines = logs.list_after(session, job_id, query.line, MAX_LINES)
    if rows.epochs or job.state.is_final:
        rows.diagnosis = read_diagnosis(session, job)
    return rows


def _fields(stamp: Stamp, rows: _Rows) -> dict[str, Any]:
    return {
        "job": job_summary(rows.details),
        "diagnosis": rows.diagnosis,
        "valid_epoch": stamp.valid_epoch,
        "epochs": [epoch_fields(row) for row in rows.epochs],
        "valid_point": stamp.valid_point,
        "points": [{"ordinal": row.ordinal, **step_fields(row)} for row in rows.points],
        "events": [event_view(row) for row in rows.events],
        "lines": [log_line(row) for row in rows.lines],
        "is_complete": len(rows.epochs) < MAX_EPOCHS and len(rows.events) < MAX_EVENTS and len(rows.lines) < MAX_LINES,
    }
