"""Waiting for news, in a long poll or a stream. No database session is open meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from flask import Response

from fitqueue.errors import DatabaseUnavailable, JobNotFound, TooManyFollowers
from service.api.context import Services

LOOK_EVERY: Final = 0.25
KEEP_ALIVE_EVERY: Final = 15.0

# Never set: its `wait` is a sleep that a signal may cut short.
_never = Event()


@dataclass(frozen=True)
class ServerSentEvent:
    id: int
    kind: str
    data: str


def wait_until(services: Services, is_news: Callable[[], bool], seconds: float) -> None:
    """Returns when there is news, when the time is over, or at once where too many wait already."""
    if not services.followers.acquire(blocking=False):
        return
    try:
        deadline = time.monotonic() + seconds
        while not is_news() and (left := deadline - time.monotonic()) > 0:
            _never.wait(min(LOOK_EVERY, left))
    finally:
        services.followers.release()


def stream(
    services: Services, read_after: Callable[[int], tuple[Sequence[ServerSentEvent], bool]], after: int
) -> Response:
    """Server-sent events, from the one after the id `after` until the job has ended and all is told.

    `read_after` gives the events after an id, and whether none will follow those.

    Raises:
        TooManyFollowers.
    """
    if not services.followers.acquire(blocking=False):
        raise TooManyFollowers()
    response = Response(_lines(read_after, after), mimetype="text/event-stream", headers=_STREAM_HEADERS)
    # Not in a `finally` of the generator: one that was never begun runs none.
    response.call_on_close(services.followers.release)
    return response


_STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _lines(read_after: Callable[[int], tuple[Sequence[ServerSentEvent], bool]], after: int) -> Iterator[str]:
    said_at = time.monotonic()
    yield ": here it begins\n\n"
    while True:
        try:
            events, is_all = read_after(after)
        except (DatabaseUnavailable, JobNotFound):
            return  # the status is sent already; who asks again learns why
        for event in events:
            after = event.id
            yield f"id: {event.id}\nevent: {event.kind}\ndata: {event.data}\n\n"
        if is_all:
            return
        now = time.monotonic()
        if events:
            said_at = now
            continue
        if now - said_at > KEEP_ALIVE_EVERY:
            said_at = now
            yield ": still here\n\n"
        _never.wait(LOOK_EVERY)
