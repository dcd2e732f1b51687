"""The metrics of a job's epochs, and those within them, as JSON or CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from pydantic_core import to_json

from fitqueue.text import csv_heading
from fitqueue.views import EpochView, Page, StepView
from service.api import PREFIX
from service.api.context import Services, get_services
from service.api.following import CHUNK_ROWS
from service.api.parameters import ALWAYS, JobPath, RowNumber, RowsQuery, problems
from service.api.views import epoch_fields, step_fields
from service.store import jobs, metrics, step_metrics
from service.store.metrics import EpochRow
from service.store.step_metrics import StepRow

blueprint = APIBlueprint(
    "metrics", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

_FIXED_COLUMNS: Final = ("epoch", "learning_rate", "seconds", "steps_per_second", "attempt", "finished_at")
_POINT_COLUMNS: Final = ("epoch", "step", "attempt", "at")


class MetricsQuery(RowsQuery):
    after: RowNumber = Field(default=0, description="only epochs after this one")
    format: Literal["json", "csv"] | None = Field(default=None, description="overrides the header `Accept`")
    within: Literal["epoch"] | None = Field(
        default=None, description="`epoch`: the points within the epochs, of which only long epochs have any"
    )


@blueprint.get(
    "/metrics", summary="Metrics of a job's epochs", responses={200: Page[EpochView | StepView], **problems(404)}
)
def get_job_metrics(path: JobPath, query: MetricsQuery) -> Response:
    """One row for each epoch, as JSON, or all of them as CSV (`?format=csv` or `Accept: text/csv`).

    With `?within=epoch`, one row for each point within an epoch.
    """
    return _get_points(path.job_id, query) if query.within == "epoch" else _get_epochs(path.job_id, query)


def _get_epochs(job_id: str, query: MetricsQuery) -> Response:
    services = get_services()
    with services.database.read() as session:
        jobs.get(session, job_id)
        if _prefers_csv(query):
            names = metrics.names(session, job_id)
            return Response(_csv(services, job_id, names), mimetype="text/csv")
        rows = metrics.list_after(session, job_id, query.start, query.limit + 1)
    cursor = str(rows[query.limit - 1].epoch) if len(rows) > query.limit else None
    return _page([epoch_fields(row) for row in rows[: query.limit]], cursor)


def _get_points(job_id: str, query: MetricsQuery) -> Response:
    as_csv = _prefers_csv(query)
    with get_services().database.read() as session:
        jobs.get(session, job_id)
        limit = step_metrics.MAX_POINTS if as_csv else query.limit + 1
        rows = step_metrics.list_after(session, job_id, query.after, query.cursor or 0, limit)
    if as_csv:
        return Response(_points_as_csv(rows), mimetype="text/csv")
    cursor = str(rows[query.limit - 1].ordinal) if len(rows) > query.limit else None
    return _page([step_fields(row) for row in rows[: query.limit]], cursor)


def _page(rows: list[dict[str, Any]], cursor: str | None) -> Response:
    return Response(to_json({"data": rows, "next_cursor": cursor}), mimetype="application/json")


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


def _points_as_csv(rows: Sequence[StepRow]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    header = ["epoch", "step", *(_heading(name, _POINT_COLUMNS) for name in names), *_POINT_COLUMNS[2:]]
    cells = (
        [row.epoch, row.step, *(row.metrics.get(name, "") for name in names), row.attempt, row.at.isoformat()]
        for row in rows
    )
    return _csv_text([header, *cells])


def _heading(name: str, fixed: Sequence[str] = _FIXED_COLUMNS) -> str:
    return f"{name} (metric)" if name in fixed else csv_heading(name)


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
