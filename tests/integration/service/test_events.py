"""The events of a job, in pages and as a stream."""

from contextlib import closing

from flask.testing import FlaskClient

from fitqueue.states import Phase, Reason
from fitqueue.views import EventView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.store import attempt_outcomes, leases, recording, tokens
from service.store.leases import Lease
from tests.integration.service.server_sent_events import parse_events


def test_events_come_in_pages(http: FlaskClient, url: str) -> None:
    first = Page[EventView].model_validate_json(http.get(f"{url}/events?limit=1").data)
    rest = Page[EventView].model_validate_json(http.get(f"{url}/events?cursor={first.next_cursor}").data)
    assert [event.kind for event in [*first.data, *rest.data]] == ["submitted", "claimed"]
    after = http.get(f"{url}/events?after={rest.data[-1].id}")
    assert after.json == {"data": [], "next_cursor": None}


def test_events_are_streamed_until_the_job_ends(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    response = http.get(f"{url}/events?follow=true")
    assert response.mimetype == "text/event-stream"
    events = parse_events(response.iter_encoded())
    assert next(events)["event"] == "submitted"
    claimed = next(events)
    assert EventView.model_validate_json(claimed["data"]).id == int(claimed["id"])
    with database.write() as session:
        recording.record_phase(session, leases.held_job(session, lease), Phase.TRAINING)
    assert next(events)["event"] == "phase_changed"
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
    assert [event["event"] for event in events] == ["succeeded"]
    response.close()

    again = http.get(f"{url}/events?follow=true", headers={"Last-Event-ID": claimed["id"]})
    assert [event["event"] for event in parse_events(again.iter_encoded())] == ["phase_changed", "succeeded"]
    again.close()
    invalid = http.get(f"{url}/events?follow=true", headers={"Last-Event-ID": "x"})
    assert invalid.status_code == 422


def test_a_stream_ends_when_its_token_is_revoked(http: FlaskClient, database: Database, url: str) -> None:
    with closing(http.get(f"{url}/events?follow=true")) as response:
        events = parse_events(response.iter_encoded())
        assert next(events)["event"] == "submitted"
        with database.write() as session:
            (token,) = tokens.list_all(session)
            assert tokens.revoke(session, token.id)

        assert len(list(events)) <= 1, "the stream ends although the job goes on"
    assert http.get(f"{url}/events?follow=true").status_code == 401


def test_a_refused_follower_is_not_logged_as_a_failure(
    http: FlaskClient, services: Services, url: str, log_lines: list[str]
) -> None:
    while services.followers.acquire(blocking=False):
        pass

    assert http.get(f"{url}/events?follow=true").status_code == 503
    assert [line for line in log_lines if "Traceback" in line or '"level": "ERROR"' in line] == []


def test_a_closed_stream_makes_room_for_another(http: FlaskClient, services: Services, url: str) -> None:
    free = services.followers._value
    response = http.get(f"{url}/events?follow=true")
    assert services.followers._value == free - 1
    response.close()
    assert services.followers._value == free
    while services.followers.acquire(blocking=False):
        pass
    refused = http.get(f"{url}/events?follow=true")
    assert (refused.status_code, Problem.model_validate_json(refused.data).code) == (503, "too_many_followers")
    assert refused.headers["Retry-After"]
