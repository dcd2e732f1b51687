"""What a job gives while it runs: the metrics of its epochs, its events, its log."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, TypeVar

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field
from sqlalchemy.orm import Session

from fitqueue.errors import Fault, InvalidRequest
from fitqueue.views import EpochView, EventView, LogLine, Page
from service.api import PREFIX
from service.api.context import Services, services
from service.api.following import ServerSentEvent, stream
from service.api.parameters import ALWAYS, MAX_ROWS, JobPath, Query, RowNumber, answer, problems
from service.store import events, jobs, logs, metrics
from service.store.metrics import EpochRow

blueprint = APIBlueprint(
    "records", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

STREAM_PIECE: Final = 500

_FIXED_COLUMNS: Final = ("epoch", "learning_rate", "seconds", "steps_per_second", "attempt", "finished_at")

_Row = TypeVar("_Row", EventView, LogLine)


class RowsQuery(Query):
    after: RowNumber = Field(default=0, description="only what came after this id")
    cursor: RowNumber | None = Field(default=None, description="`next_cursor` of the page before; goes before `after`")
    limit: int = Field(default=1_000, ge=1, le=MAX_ROWS)

    @property
    def start(self) -> int:
        return self.after if self.cursor is None else self.cursor


class FollowQuery(RowsQuery):
    follow: bool = Field(default=False, description="stay, and tell what comes as server-sent events")


class MetricsQuery(RowsQuery):
    format: Literal["json", "csv"] | None = Field(default=None, description="goes before the header `Accept`")


class LogsQuery(FollowQuery):
    tail: int | None = Field(default=None, ge=1, le=MAX_ROWS, description="only the last lines; not with `follow`")

    @property
    def is_limited(self) -> bool:
        """Whether a limit was asked for: the one that a page has by itself is not meant for text."""
        return self.tail is not None or "limit" in self.model_fields_set


@blueprint.get("/metrics", summary="Metrics of a job's epochs", responses={200: Page[EpochView], **problems(404)})
def get_metrics(path: JobPath, query: MetricsQuery) -> Response:
    """A row an epoch, as JSON, or all of them as CSV (`?format=csv` or `Accept: text/csv`)."""
    parts = services()
    with parts.database.read() as session:
        jobs.get(session, path.job_id)
        if _wants_csv(query):
            columns = metrics.names(session, path.job_id)
            return Response(_csv_lines(parts, path.job_id, columns), mimetype="text/csv")
        rows = metrics.list_after(session, path.job_id, query.start, query.limit + 1)
    data = [metrics.view(row) for row in rows[: query.limit]]
    cursor = str(data[-1].epoch) if len(rows) > len(data) else None
    return answer(Page[EpochView](data=data, next_cursor=cursor))


@blueprint.get("/events", summary="Events of a job", responses={200: Page[EventView], **problems(404)})
def get_events(path: JobPath, query: FollowQuery) -> Response:
    """In the order in which they happened. With `follow`, server-sent events, which take `Last-Event-ID`."""
    parts = services()
    rows = _first_rows(parts, path.job_id, query, events.list_after)
    if query.follow:
        return stream(parts, _reader(parts, path.job_id, events.list_after, lambda row: row.kind), _last_id(query))
    return answer(Page[EventView](data=rows[: query.limit], next_cursor=_cursor(rows, query)))


@blueprint.get("/logs", summary="Log of a job", responses={200: Page[LogLine], **problems(404)})
def get_logs(path: JobPath, query: LogsQuery) -> Response:
    """What the job's process wrote: JSON, plain text (`Accept: text/plain`), or with `follow` server-sent events.

    Plain text is all of it where neither `limit` nor `tail` says otherwise.
    """
    parts = services()
    if query.follow:
        _first_rows(parts, path.job_id, query, logs.list_after)
        return stream(parts, _reader(parts, path.job_id, logs.list_after, lambda row: row.stream), _last_id(query))
    page = _tail(parts, path.job_id, query.tail) if query.tail else _page(parts, path.job_id, query)
    if request.accept_mimetypes.best_match(["application/json", "text/plain"]) != "text/plain":
        return answer(page)
    is_whole = query.is_limited or page.next_cursor is None
    return Response(_text(page.data) if is_whole else _text_to_the_end(parts, path.job_id, page), mimetype="text/plain")


def _first_rows(
    parts: Services, job_id: str, query: FollowQuery, list_after: Callable[[Session, str, int, int], list[_Row]]
) -> list[_Row]:
    """A row more than is asked for, which tells whether there is a next page; none for a stream. Raises JobNotFound."""
    with parts.database.read() as session:
        jobs.get(session, job_id)
        return [] if query.follow else list_after(session, job_id, query.start, query.limit + 1)


def _page(parts: Services, job_id: str, query: LogsQuery) -> Page[LogLine]:
    rows = _first_rows(parts, job_id, query, logs.list_after)
    return Page[LogLine](data=rows[: query.limit], next_cursor=_cursor(rows, query))


def _tail(parts: Services, job_id: str, count: int) -> Page[LogLine]:
    with parts.database.read() as session:
        jobs.get(session, job_id)
        return Page[LogLine](data=logs.tail(session, job_id, count))


def _text(lines: Sequence[LogLine]) -> str:
    return "".join(f"{line.text}\n" for line in lines)


def _text_to_the_end(parts: Services, job_id: str, page: Page[LogLine]) -> Iterator[str]:
    """The page and all after it: plain text has no place for a cursor, and an end that is none deceives."""
    lines = page.data
    while lines:
        yield _text(lines)
        with parts.database.read() as session:
            lines = logs.list_after(session, job_id, lines[-1].id, STREAM_PIECE)


def _cursor(rows: Sequence[_Row], query: FollowQuery) -> str | None:
    return str(rows[query.limit - 1].id) if len(rows) > query.limit else None


def _reader(
    parts: Services,
    job_id: str,
    list_after: Callable[[Session, str, int, int], list[_Row]],
    kind: Callable[[_Row], str],
) -> Callable[[int], tuple[list[ServerSentEvent], bool]]:
    def read_after(after: int) -> tuple[list[ServerSentEvent], bool]:
        with parts.database.read() as session:
            # The state before the rows: what is written last is written with the end, and must not be missed.
            has_ended = jobs.get(session, job_id).state.is_final
            rows = list_after(session, job_id, after, STREAM_PIECE)
        told = [ServerSentEvent(row.id, kind(row), row.model_dump_json()) for row in rows]
        return told, has_ended and len(rows) < STREAM_PIECE

    return read_after


def _last_id(query: FollowQuery) -> int:
    """Where a stream begins: after what the browser or client heard last, or after what the query says."""
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return query.start
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        message = "expected the id of an event, a whole number"
        fault = Fault(pointer="Last-Event-ID", code="invalid_id", message=message, received=given[:100])
        raise InvalidRequest(errors=[fault])
    return int(given)


def _wants_csv(query: MetricsQuery) -> bool:
    if query.format is not None:
        return query.format == "csv"
    return request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv"


def _csv_lines(parts: Services, job_id: str, columns: Sequence[str]) -> Iterator[str]:
    """NaN and infinity as `nan`, `inf` and `-inf`, which readers of CSV know."""
    names = [name for name in columns if name not in _FIXED_COLUMNS]
    yield _csv_line(["epoch", *names, *_FIXED_COLUMNS[1:]])
    after = 0
    while True:
        with parts.database.read() as session:
            rows = metrics.list_after(session, job_id, after, STREAM_PIECE)
        for row in rows:
            yield _csv_line(_cells(row, names))
        if len(rows) < STREAM_PIECE:
            return
        after = rows[-1].epoch


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


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
