"""The log of a job, as JSON, as text and as a stream."""

from collections.abc import Sequence

from flask.testing import FlaskClient

from fitqueue.states import Reason
from fitqueue.views import LogLine, Page
from service.db import Database
from service.store import attempt_outcomes, leases, recording
from service.store.leases import Lease
from tests.integration.service.server_sent_events import parse_events
from tests.reports import printed


def _record_lines(database: Database, lease: Lease, texts: Sequence[str]) -> None:
    with database.write() as session:
        recording.record_lines(session, leases.held_job(session, lease), [printed(text) for text in texts])


def test_a_log_is_answered_as_json_text_and_stream(
    http: FlaskClient, database: Database, lease: Lease, url: str
) -> None:
    _record_lines(database, lease, [f"line {n}" for n in range(5)])
    first = Page[LogLine].model_validate_json(http.get(f"{url}/logs?limit=3").data)
    rest = Page[LogLine].model_validate_json(http.get(f"{url}/logs?cursor={first.next_cursor}").data)
    assert [line.text for line in [*first.data, *rest.data]] == [f"line {n}" for n in range(5)]
    tail = Page[LogLine].model_validate_json(http.get(f"{url}/logs?tail=2").data)
    assert ([line.text for line in tail.data], tail.next_cursor) == (["line 3", "line 4"], None)
    plain = http.get(f"{url}/logs?after={first.data[-1].id}", headers={"Accept": "text/plain"})
    assert (plain.mimetype, plain.text) == ("text/plain", "line 3\nline 4\n")
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
    stream = http.get(f"{url}/logs?follow=true&after={first.data[-1].id}")
    assert [event["event"] for event in parse_events(stream.iter_encoded())] == ["stdout", "stdout"]
    stream.close()


def test_a_log_as_text_is_complete_unless_the_client_limits_it(
    http: FlaskClient, database: Database, lease: Lease, url: str
) -> None:
    lines = [f"line {n}\n" for n in range(1_700)]
    _record_lines(database, lease, [line.strip() for line in lines])
    rows = Page[LogLine].model_validate_json(http.get(f"{url}/logs?limit=1700").data).data
    for query, expected in (
        ("", lines),
        (f"?after={rows[99].id}", lines[100:]),
        (f"?after={rows[99].id}&limit=1200", lines[100:1_300]),
        ("?limit=1200", lines[:1_200]),
        ("?tail=1500", lines[-1_500:]),
        ("?tail=1500&limit=10", lines[-1_500:]),
    ):
        response = http.get(f"{url}/logs{query}", headers={"Accept": "text/plain"})
        assert response.text.splitlines(keepends=True) == expected, query
    assert http.get(f"{url.replace('job_', 'no_')}/logs", headers={"Accept": "text/plain"}).status_code == 404
