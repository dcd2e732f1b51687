"""Following what goes on: the job by long polls, its events and log lines as they come."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx

from fitqueue.client.retry import RetryBudget
from fitqueue.client.transport import LONG_RETRY_SECONDS, SHORT_RETRY_SECONDS, Call, Transport
from fitqueue.errors import Unreachable, WaitTimeout
from fitqueue.views import JobView

LONG_POLL = 30
"""Seconds that one request waits for news."""

SILENCE = 60.0
"""Seconds without a byte, not even a keep-alive, after which a stream counts as broken."""


def watch(transport: Transport, job_path: str, timeout: float | None) -> Iterator[JobView]:
    """The job now, again whenever it changed, and at last in its final state.

    Raises WaitTimeout after `timeout` seconds, Unreachable after an outage of five minutes.
    """
    until = None if timeout is None else time.monotonic() + timeout
    etag = None
    while True:
        left = LONG_POLL if until is None else until - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"The job at {job_path} had not ended after {timeout:g} s")
        began = time.monotonic()
        response = transport.request(_poll(job_path, etag, min(LONG_POLL, left)))
        if response.status_code != httpx.codes.NOT_MODIFIED:
            job = JobView.model_validate_json(response.content)
            etag = response.headers.get("ETag")
            yield job
            if job.state.is_final:
                return
        elif time.monotonic() - began < 1:
            time.sleep(min(1, left))  # a busy service may answer a long poll at once: it must not be asked in a circle


def _poll(job_path: str, etag: str | None, seconds: float) -> Call:
    if etag is None:
        return Call("GET", job_path)  # who begins to watch wants to hear soon that nobody answers
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
    id: str
    data: str


def split_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream of events. `str.splitlines` would also cut at U+2028, which may stand inside a text."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in whole)


def parse_events(lines: Iterable[str]) -> Iterator[ServerSentEvent]:
    """Server-sent events as the HTML standard has them, as far as data and ids go; comments keep the line alive."""
    last_id, data = "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield ServerSentEvent(last_id, "\n".join(data))
            data = []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "id":
            last_id = value


def follow(transport: Transport, address: str, after: int) -> Iterator[str]:
    """The data of each server-sent event at `address`, `jobs/ID/…`, through broken lines, until the job has ended."""
    last_id = str(after)
    retry_seconds = RetryBudget(LONG_RETRY_SECONDS)
    had_begun = had_ended = False
    while True:
        try:
            outage = LONG_RETRY_SECONDS if had_begun else SHORT_RETRY_SECONDS
            with transport.stream(_subscription(address, last_id, outage)) as response:
                had_begun = True
                for event in parse_events(split_lines(response.iter_bytes())):
                    last_id = event.id or last_id
                    retry_seconds = RetryBudget(LONG_RETRY_SECONDS)
                    yield event.data
        except httpx.TransportError as error:
            trouble = f"The stream of {address} broke off ({error})"
            if not retry_seconds.pause(trouble):
                raise Unreachable(trouble) from error
            continue
        if had_ended:
            return
        # The job may have ended after the service closed the stream: only a stream begun after the end is the last.
        had_ended = _has_ended(transport, address.rpartition("/")[0])
        if not had_ended:
            time.sleep(1)


def _subscription(address: str, last_id: str, retry_seconds: float) -> Call:
    return Call(
        "GET",
        address,
        params={"follow": "true"},
        headers={"Accept": "text/event-stream", "Last-Event-ID": last_id},
        retry_seconds=retry_seconds,
        timeout=SILENCE,
    )


def _has_ended(transport: Transport, job_path: str) -> bool:
    response = transport.request(Call("GET", job_path, retry_seconds=LONG_RETRY_SECONDS))
    return JobView.model_validate_json(response.content).state.is_final
