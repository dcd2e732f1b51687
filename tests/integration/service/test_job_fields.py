"""Answers with only some fields of a job, totals of lists, and cursors that no list has given."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from fitqueue.states import Phase
from service.api.context import MAX_FOLLOWERS, Services
from service.db import Database
from service.store import actions, attempt_outcomes, jobs, leases, recording
from service.store.leases import Lease
from tests.integration.fixture_types import Submit
from tests.waiting import until

LIGHT = "fields=progress,best,state"


@contextmanager
def _statements(services: Services) -> Iterator[list[str]]:
    """Collect the SQL that the service sends."""
    statements: list[str] = []

    def collect(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = services.database._engine
    event.listen(engine, "before_cursor_execute", collect)
    yield statements
    event.remove(engine, "before_cursor_execute", collect)


def test_a_light_poll_has_only_its_fields_and_reads_no_large_column(
    http: FlaskClient, services: Services, submit: Submit
) -> None:
    url = f"/api/v1/jobs/{submit()}"
    whole = http.get(url).json
    with _statements(services) as statements:
        light = http.get(f"{url}?{LIGHT}")
    assert whole is not None
    assert light.json == {name: whole[name] for name in ("state", "progress", "best")}
    assert len(light.data) < 1_000
    assert [each for each in statements if "jobs.id" in each]
    assert [each for each in statements if "spec" in each or "job_labels" in each or "epochs.seconds" in each] == []
    for spelling in ("fields=best,state,progress", "fields=progress&fields=best&fields=state"):
        assert http.get(f"{url}?{spelling}").data == light.data


@pytest.mark.parametrize("field", ["spec", "notices", "model", "labels", "queue", "diagnosis", "submitted_by"])
def test_each_field_can_be_read_alone(http: FlaskClient, submit: Submit, field: str) -> None:
    url = f"/api/v1/jobs/{submit(labels={'team': 'vision'})}"
    whole = http.get(url).json
    assert whole is not None
    assert http.get(f"{url}?fields={field}").json == {field: whole[field]}


def test_the_etag_is_that_of_the_chosen_fields(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    tags = {fields: http.get(f"{url}?fields={fields}").headers["ETag"] for fields in ("phase", "best", "best,state")}
    whole = http.get(url).headers["ETag"]
    assert len({whole, *tags.values()}) == 4
    with database.write() as session:
        recording.record_phase(session, leases.held_job(session, lease), Phase.TRAINING)
    statuses = [
        http.get(f"{url}?fields={fields}", headers={"If-None-Match": tag}).status_code for fields, tag in tags.items()
    ]
    assert statuses == [200, 304, 304]
    assert http.get(url, headers={"If-None-Match": whole}).status_code == 200


def test_a_poll_with_a_true_etag_reads_no_large_column(http: FlaskClient, services: Services, submit: Submit) -> None:
    url = f"/api/v1/jobs/{submit()}"
    tag = http.get(url).headers["ETag"]
    with _statements(services) as statements:
        assert http.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert [each for each in statements if "spec" in each] == []


def test_a_long_poll_of_some_fields_waits_for_a_change_of_them(
    http: FlaskClient, services: Services, database: Database, lease: Lease, url: str
) -> None:
    tag = http.get(f"{url}?fields=state").headers["ETag"]
    answers: list[Any] = []
    poll = threading.Thread(
        target=lambda: answers.append(http.get(f"{url}?fields=state&wait=60", headers={"If-None-Match": tag}))
    )
    poll.start()
    until(lambda: services.followers._value < MAX_FOLLOWERS, 120, "the poll waits")
    with database.write() as session:
        recording.record_phase(session, leases.held_job(session, lease), Phase.TRAINING)
    poll.join(1)  # long enough for a poll that would answer this change
    with database.write() as session:
        assert attempt_outcomes.requeue(session, lease, "The worker shuts down.")
    poll.join(45)  # less than it waits by itself
    assert (answers[0].status_code, answers[0].json) == (200, {"state": "queued"})


def test_unknown_fields_are_all_named_with_the_nearest_known_one(http: FlaskClient, submit: Submit) -> None:
    answer = http.get(f"/api/v1/jobs/{submit()}?fields=progres,state,bset")
    assert answer.status_code == 422
    assert answer.json is not None
    faults = answer.json["errors"]
    assert [(fault["pointer"], fault["code"], fault["received"]) for fault in faults] == [
        ("fields", "unknown_field", "progres"),
        ("fields", "unknown_field", "bset"),
    ]
    assert "Did you mean 'progress'?" in faults[0]["message"]
    assert http.get("/api/v1/jobs?fields=spec").status_code == 422, "a list has no specs"


def test_a_list_has_the_chosen_fields_of_each_job(http: FlaskClient, services: Services, submit: Submit) -> None:
    ids = [submit() for _ in range(3)]
    with _statements(services) as statements:
        page = http.get("/api/v1/jobs?fields=id,state&limit=2").json
    assert page is not None
    assert page["data"] == [{"id": id, "state": "queued"} for id in ids[:0:-1]]
    assert page["next_cursor"]
    assert [each for each in statements if "job_labels" in each or "FROM projects" in each] == []


def test_a_total_counts_what_passes_the_filter_on_all_pages(
    http: FlaskClient, database: Database, submit: Submit, raw_spec: dict[str, Any]
) -> None:
    submitted = [submit(name="a", labels={"team": "vision", "x": str(n % 2)}) for n in range(4)]
    http.post("/api/v1/jobs", json=raw_spec)
    with database.write() as session:
        actions.cancel(session, submitted[0])
        jobs.delete(session, submitted[0])
    for query, total in {
        "": 4,
        "state=queued": 4,
        "state=queued&state=failed&pool=default": 4,
        "name=a": 3,
        "label=team=vision": 3,
        "label=team=vision&label=x=1": 2,
        "submitted_by=tests": 1,
        "submitted_by=nobody": 0,
        "dataset=digits": 4,
        "dataset=digits&state=failed": 0,
    }.items():
        page = http.get(f"/api/v1/jobs?limit=1&total=true&{query}").json
        assert page is not None
        assert page["total"] == total, query
    assert "total" not in (http.get("/api/v1/jobs").json or {})
    assert (http.get("/api/v1/jobs?fields=id&limit=1&total=true").json or {})["total"] == 4
    assert (http.get("/api/v1/queue?limit=1&total=true").json or {})["total"] == 4
    assert (http.get("/api/v1/queue?pool=other&total=true").json or {})["total"] == 0
    datasets = http.get("/api/v1/datasets?total=true").json or {}
    assert datasets["total"] == len(datasets["data"]) > 5


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/jobs",
        "/api/v1/queue",
        "/api/v1/datasets",
        "{url}/checkpoints",
        "{url}/artifacts",
        "{url}/metrics",
        "{url}/events",
        "{url}/logs",
    ],
)
def test_a_cursor_that_no_list_has_given_is_422(http: FlaskClient, url: str, address: str) -> None:
    for cursor in ("nonsense", "-1", "%F0%9F%98%80"):
        answer = http.get(f"{address.format(url=url)}?cursor={cursor}")
        assert answer.status_code == 422, cursor
        assert answer.json is not None
        assert answer.json["errors"][0]["pointer"] == "cursor"
