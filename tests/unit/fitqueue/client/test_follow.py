"""Following a job by long polls and by server-sent events."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue import errors
from fitqueue.client import follow
from fitqueue.client.follow import ServerSentEvent, parse_events, split_lines
from fitqueue.client.transport import Transport
from fitqueue.states import JobState
from tests.unit.fitqueue.views import job_view


def job(state: str, step: int = 0) -> bytes:
    reason = "completed" if state == "succeeded" else None
    return job_view(JobState(state), reason=reason, progress={"step": step}).model_dump_json().encode()


@given(lines=st.lists(st.text().filter(lambda text: not set(text) & set("\r\n"))), cuts=st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_the_bytes_are_split(lines: list[str], cuts: list[int]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert list(split_lines(chunks)) == text.decode().split("\n")[:-1]


def test_a_line_may_end_with_cr_lf() -> None:
    assert list(split_lines([b"a\r", b"\nb\r\n"])) == ["a", "b"]


def test_server_sent_events_are_parsed() -> None:
    lines = [
        ": keep-alive",
        "",
        "id: 1",
        "event: x",
        "data: one",
        "",
        "data:two",
        "data:  lines",
        "",
        "id: 3",
        "data: cut",
    ]
    assert list(parse_events(lines)) == [ServerSentEvent("1", "one"), ServerSentEvent("1", "two\n lines")]


def test_a_broken_stream_is_resumed(service: Any, transport: Transport) -> None:
    first, second = b"id: 4\ndata: four\n\nid: 5\nda", b"id: 5\ndata: five\n\n"
    service.script = [
        service.Answer(body=first + b"...", stops_at=len(first)),
        service.Answer(body=second),
        service.Answer(body=job("succeeded")),
        service.Answer(body=b"id: 6\ndata: six\n\n"),
    ]
    assert list(follow.follow(transport, "/jobs/j/events", 3)) == ["four", "five", "six"]
    streams = [request for request in service.requests if "follow=true" in request.path]
    assert [request.headers["Last-Event-ID"] for request in streams] == ["3", "4", "5"]


def test_a_stream_of_an_unknown_job_is_an_error(service: Any, transport: Transport) -> None:
    service.script = [service.problem(404, "job_not_found")]
    with pytest.raises(errors.JobNotFound):
        list(follow.follow(transport, "/jobs/j/events", 0))


def test_watch_requests_only_changes(service: Any, transport: Transport) -> None:
    service.script = [
        service.Answer(body=job("queued"), headers={"ETag": '"1"'}),
        service.Answer(body=job("running", 3), headers={"ETag": '"2"'}),
        service.Answer(304, b""),
        service.Answer(body=job("succeeded"), headers={"ETag": '"3"'}),
    ]
    states = [(view.state, view.progress.step) for view in follow.watch(transport, "/jobs/j", None)]
    assert states == [("queued", 0), ("running", 3), ("succeeded", 0)]
    assert [request.headers.get("If-None-Match") for request in service.requests] == [None, '"1"', '"2"', '"2"']
    assert [request.path.partition("?")[2] for request in service.requests] == ["", *["wait=30"] * 3]


def test_watch_retries_during_an_outage(service: Any, transport: Transport) -> None:
    service.script = [
        service.Answer(body=job("running"), headers={"ETag": '"1"'}),
        service.Answer(stops_at=-1),
        service.problem(503, "database_unavailable"),
        service.Answer(body=job("succeeded"), headers={"ETag": '"2"'}),
    ]
    assert [view.state for view in follow.watch(transport, "/jobs/j", None)] == ["running", "succeeded"]


def test_watch_raises_an_error_after_its_timeout(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(body=job("running"), headers={"ETag": '"1"'}), service.Answer(304, b"")]
    with pytest.raises(errors.WaitTimeout, match=r"after 0\.1 s"):
        list(follow.watch(transport, "/jobs/j", 0.1))
