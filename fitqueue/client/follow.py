"""Following a job: its state by long polls, its events and log lines as a stream."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx

from fitqueue.client.retry import RetryBudget
from fitqueue.client.transport import LONG_RETRY_SECONDS, SHORT_RETRY_SECONDS, Call, Transport
from fitqueue.errors import Unreachable, WaitTimeout
from fitqueue.views import JobView

LONG_POLL_SECONDS = 30
"""How long one request waits for a change of the job."""

SILENCE_SECONDS = 60.0
"""How long a stream may send nothing, not even a keep-alive, before it counts as broken."""


def watch(transport: Transport, job_path: str, timeout: float | None) -> Iterator[JobView]:
    """Yield the job as it is now, then each time it has changed, the last time in its final state.

    Raises:
        WaitTimeout: the job has not ended after `timeout` seconds.
        Unreachable: the service has not answered for five minutes.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    etag = None
    while True:
        remaining = LONG_POLL_SECONDS if deadline is None else deadline - time.monotonic()
        if remaining <= 0:
            raise WaitTimeout(f"The job at {job_path} had not ended after {timeout:g} s")
        started = time.monotonic()
        response = transport.request(_poll(job_path, etag, min(LONG_POLL_SECONDS, remaining)))
        if response.status_code != httpx.codes.NOT_MODIFIED:
            job = JobView.model_validate_json(response.content)
            etag = response.headers.get("ETag")
            yield job
            if job.state.is_final:
                return
        elif time.monotonic() - started < 1:
            time.sleep(min(1, remaining))  # a busy service answers long polls at once: do not ask it in a tight loop


def _poll(job_path: str, etag: str | None, seconds: float) -> Call:
    if etag is None:
        return Call("GET", job_path)  # whoever starts to watch wants to know soon if nobody answers
    return Call(
        "GET",
        job_path,
        params={"wait": max(1, round(seconds))},
        headers={"If-None-Match": etag},
        retry_seconds=LONG_RETRY_SECONDS,
        timeout=seconds + 15,
    )


@dataclass(frozen=True)
class ServerSentEvent:
    """An event of a stream. `id` is the last one that the stream has sent so far."""

    id: str
    data: str


def split_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a stream. `str.splitlines` would also split at U+2028, which may be part of a text."""
    incomplete = b""
    for chunk in chunks:
        *lines, incomplete = (incomplete + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in lines)


def parse_events(lines: Iterable[str]) -> Iterator[ServerSentEvent]:
    """Yield the server-sent events (HTML standard) in these lines, with data and id. Comments are keep-alives."""
    last_id, data = "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield ServerSentEvent(last_id, "\n".join(data))
            data = []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "id":
            last_id = value


def follow(transport: Transport, path: str, after: int) -> Iterator[str]:
    """Yield the data of each server-sent event at `path` until the job has ended; reconnect when the stream breaks.

    Args:
        path: a stream of a job, `/jobs/ID/…`.
        after: the id of the event after which to start.

    Raises:
        Unreachable: the stream could not be resumed for five minutes.
    """
    last_id = str(after)
    budget = RetryBudget(LONG_RETRY_SECONDS)
    has_connected = has_ended = False
    while True:
        try:
            retry_seconds = LONG_RETRY_SECONDS if has_connected else SHORT_RETRY_SECONDS
            with transport.stream(_subscription(path, last_id, retry_seconds)) as response:
                has_connected = True
                for event in parse_events(split_lines(response.iter_bytes())):
                    last_id = event.id or last_id
                    budget = RetryBudget(LONG_RETRY_SECONDS)
                    yield event.data
        except httpx.TransportError as error:
            problem = f"The stream of {path} broke off ({error})"
            if not budget.pause(problem):
                raise Unreachable(problem) from error
            continue
        if has_ended:
            return
        # The job may have ended after the service closed the stream: only one that began after the end is complete.
        has_ended = _has_ended(transport, path.rpartition("/")[0])
        if not has_ended:
            time.sleep(1)


def _subscription(path: str, last_id: str, retry_seconds: float) -> Call:
    return Call(
        "GET",
        path,
        params={"follow": "true"},
        headers={"Accept": "text/event-stream", "Last-Event-ID": last_id},
        retry_seconds=retry_seconds,
        timeout=SILENCE_SECONDS,
    )


def _has_ended(transport: Transport, job_path: str) -> bool:
    response = transport.request(Call("GET", job_path, retry_seconds=LONG_RETRY_SECONDS))
    return JobView.model_validate_json(response.content).state.is_final
