"""The metrics of a job's epochs, as JSON or CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from pydantic_core import to_json

from fitqueue.text import csv_heading
from fitqueue.views import EpochView, Page
from service.api import PREFIX
from service.api.context import Services, get_services
from service.api.following import CHUNK_ROWS
from service.api.parameters import ALWAYS, JobPath, RowsQuery, problems
from service.api.views import epoch_fields
from service.store import jobs, metrics
from service.store.metrics import EpochRow

blueprint = APIBlueprint(
    "metrics", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

_FIXED_COLUMNS: Final = ("epoch", "learning_rate", "seconds", "steps_per_second", "attempt", "finished_at")


class MetricsQuery(RowsQuery):
    format: Literal["json", "csv"] | None = Field(default=None, description="overrides the header `Accept`")


@blueprint.get("/metrics", summary="Metrics of a job's epochs", responses={200: Page[EpochView], **problems(404)})
def get_metrics(path: JobPath, query: MetricsQuery) -> Response:
    """One row for each epoch, as JSON, or all of them as CSV (`?format=csv` or `Accept: text/csv`)."""
    services = get_services()
    with services.database.read() as session:
        jobs.get(session, path.job_id)
        if _prefers_csv(query):
            names = metrics.names(session, path.job_id)
            return Response(_csv(services, path.job_id, names), mimetype="text/csv")
        rows = metrics.list_after(session, path.job_id, query.start, query.limit + 1)
    cursor = str(rows[query.limit - 1].epoch) if len(rows) > query.limit else None
    page = {"data": [epoch_fields(row) for row in rows[: query.limit]], "next_cursor": cursor}
    return Response(to_json(page), mimetype="application/json")


def _prefers_csv(query: MetricsQuery) -> bool:
    if query.format is not None:
        return query.format == "csv"
    return request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv"


def _csv(services: Services, job_id: str, names: Sequence[str]) -> Iterator[str]:
    """Yield lines. NaN and infinity are `nan`, `inf` and `-inf`, which readers of CSV know."""
    columns = [name for name in names if name != "learning_rate"]  # that of the epoch, which has a column
    yield _csv_text([["epoch", *map(_heading, columns), *_FIXED_COLUMNS[1:]]])
    after = 0
    while True:
        with services.database.read() as session:
            rows = metrics.list_after(session, job_id, after, CHUNK_ROWS)
        yield _csv_text(_cells(row, columns) for row in rows)
        if len(rows) < CHUNK_ROWS:
            return
        after = rows[-1].epoch


def _heading(name: str) -> str:
    return f"{name} (metric)" if name in _FIXED_COLUMNS else csv_heading(name)


def _cells(row: EpochRow, names: Sequence[str]) -> list[object]:
    return [
        row.epoch,
        *(row.metrics.get(name, "") for name in names),
        "" if row.learning_rate is None else row.learning_rate,
        row.seconds,
        round(row.steps_per_second, 3),
        row.attempt,
        row.finished_at.isoformat(),
    ]


def _csv_text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
