"""Waiting for news, in a long poll or a stream of server-sent events. No database session is open while waiting."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final, Protocol, TypeVar

from flask import Response, request
from pydantic import BaseModel
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable, Fault, InvalidRequest, JobNotFound, TooManyFollowers
from fitqueue.text import truncate
from service.api.context import Services, principal
from service.store import jobs, principals

POLL_SECONDS: Final = 0.25
KEEP_ALIVE_SECONDS: Final = 15.0
CHUNK_ROWS: Final = 500
"""Rows that are read from the database at once."""

# Never set: its `wait` is a sleep that a signal can interrupt.
_never = Event()


class Row(Protocol):
    """A row of a list that only grows."""

    @property
    def id(self) -> int: ...


AnyRow = TypeVar("AnyRow", bound=Row)
View = TypeVar("View", bound=BaseModel)
ListAfter = Callable[[Session, str, int, int], Sequence[AnyRow]]
"""Returns the rows of a job after an id, at most this many."""


@dataclass(frozen=True)
class ServerSentEvent:
    id: int
    kind: str
    data: str


def wait_until(services: Services, has_news: Callable[[], bool], seconds: float) -> None:
    """Return when there is news, when the time is over, or at once if too many requests are waiting already."""
    if not services.followers.acquire(blocking=False):
        return
    try:
        deadline = time.monotonic() + seconds
        while not has_news() and (left := deadline - time.monotonic()) > 0:
            _never.wait(min(POLL_SECONDS, left))
            services.end_overdue_jobs()
    finally:
        services.followers.release()


def follow_rows(
    services: Services,
    job_id: str,
    list_after: ListAfter[AnyRow],
    to_view: Callable[[AnyRow], View],
    kind: Callable[[View], str],
    after: int,
) -> Response:
    """Answer with the rows of a job after this id as server-sent events, until the job has ended and all are sent.

    A stream also ends when its token is revoked, or its user may not see the job any more. A client that asks again
    learns why.

    Raises:
        TooManyFollowers: too many requests are waiting already.
    """
    token_id = principal().token_id

    def read_after(last: int) -> tuple[list[ServerSentEvent], bool]:
        with services.database.read() as session:
            who = principals.of_token_id(session, token_id)
            if who is None:
                return [], True
            # The state before the rows: the last row is written together with the end, and must not be missed.
            has_ended = jobs.get(session, job_id, who.viewer).state.is_final
            rows = list_after(session, job_id, last, CHUNK_ROWS)
        views = [to_view(row) for row in rows]
        messages = [
            ServerSentEvent(row.id, kind(view), view.model_dump_json()) for row, view in zip(rows, views, strict=True)
        ]
        return messages, has_ended and len(rows) < CHUNK_ROWS

    return stream(services, read_after, after)


def stream(
    services: Services, read_after: Callable[[int], tuple[Sequence[ServerSentEvent], bool]], after: int
) -> Response:
    """Answer with server-sent events after the id `after`.

    Args:
        read_after: returns the events after an id, and whether none will follow those.

    Raises:
        TooManyFollowers: too many requests are waiting already.
    """
    if not services.followers.acquire(blocking=False):
        raise TooManyFollowers()

    def read_news(last: int) -> tuple[Sequence[ServerSentEvent], bool]:
        services.end_overdue_jobs()
        return read_after(last)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = Response(_lines(read_news, after), mimetype="text/event-stream", headers=headers)
    # Not in a `finally` of the generator, which would not run if nobody reads the stream.
    response.call_on_close(services.followers.release)
    return response


def next_cursor(rows: Sequence[Row], limit: int) -> str | None:
    """Return the cursor of the next page, given one row more than the page has; None on the last page."""
    return str(rows[limit - 1].id) if len(rows) > limit else None


def last_id(default: int) -> int:
    """Return the id after which a stream begins: the last one that the client got, or `default`.

    Raises:
        InvalidRequest: the header `Last-Event-ID` is not a number.
    """
    header = request.headers.get("Last-Event-ID")
    if header is None:
        return default
    if not header.isascii() or not header.isdigit() or len(header) > 18:
        message = "expected the id of an event, an integer"
        fault = Fault(pointer="Last-Event-ID", code="invalid_id", message=message, received=truncate(header, 100))
        raise InvalidRequest(errors=[fault])
    return int(header)


def _lines(read_after: Callable[[int], tuple[Sequence[ServerSentEvent], bool]], after: int) -> Iterator[str]:
    sent_at = time.monotonic()
    yield ": the stream begins\n\n"
    while True:
        try:
            events, is_complete = read_after(after)
        except (DatabaseUnavailable, JobNotFound):
            return  # the status is sent already; a client that asks again learns why
        for event in events:
            after = event.id
            yield f"id: {event.id}\nevent: {event.kind}\ndata: {event.data}\n\n"
        if is_complete:
            return
        now = time.monotonic()
        if events:
            sent_at = now
            continue
        if now - sent_at > KEEP_ALIVE_SECONDS:
            sent_at = now
            yield ": keep-alive\n\n"
        _never.wait(POLL_SECONDS)
