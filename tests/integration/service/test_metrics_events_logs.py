"""Metrics, events, logs, weights: what a job gives while it runs."""

import csv
import hashlib
import io
import math
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.states import Phase, Reason
from fitqueue.views import CheckpointView, EpochView, EventView, LogLine, Page, Problem
from service.api.context import Services
from service.db import Database
from service.storage import checkpoint_key
from service.store import leases, recording
from service.store.leases import ClaimedJob, Lease
from service.store.recording import CheckpointRecord, EpochRecord, LineRecord

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def lease(submit: Callable[..., str], take: Callable[[], ClaimedJob]) -> Lease:
    submit(fit={"epochs": 1000})
    return take().lease


@pytest.fixture
def url(lease: Lease) -> str:
    return f"/api/v1/jobs/{lease.job_id}"


def _epoch(epoch: int, **logs: float) -> EpochRecord:
    return EpochRecord(epoch, logs, learning_rate=0.1, next_learning_rate=0.1, seconds=0.5, steps=10)


def _save(
    services: Services, lease: Lease, content: bytes, names: tuple[str, ...] = ("best", "last"), epoch: int = 1
) -> None:
    """As a worker does it."""
    path = services.store.temporary_folder() / "written"
    path.write_bytes(content)
    key = checkpoint_key(lease, "weights.h5")
    services.store.put(key, path)
    sha256 = hashlib.sha256(content).hexdigest()
    record = CheckpointRecord(names, key, "weights.h5", epoch, None, {"loss": 1.0}, "loss", 1.0, len(content), sha256)
    with services.database.write() as session:
        replaced = recording.record_checkpoint(session, lease, record)
    for old in replaced:
        services.store.delete(old)


def _finish(database: Database, lease: Lease) -> None:
    with database.write() as session:
        assert leases.finish(session, lease, Reason.COMPLETED, "done")


def test_metrics_as_json_in_pages(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        for epoch in range(1, 6):
            recording.record_epoch(session, lease, _epoch(epoch, loss=1 / epoch, bad=math.nan))
    page = Page[EpochView].model_validate_json(http.get(f"{url}/metrics?limit=2").data)
    assert [row.epoch for row in page.data] == [1, 2]
    assert page.data[0].metrics == {"loss": 1.0, "bad": None}
    assert (page.data[0].non_finite, page.data[0].steps_per_second) == (["bad"], 20.0)
    page = Page[EpochView].model_validate_json(http.get(f"{url}/metrics?limit=3&cursor={page.next_cursor}").data)
    assert ([row.epoch for row in page.data], page.next_cursor) == ([3, 4, 5], None)


def test_metrics_as_csv(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        for epoch in range(1, 702):
            recording.record_epoch(session, lease, _epoch(epoch, loss=1 / 3, learning_rate=0.1))
        recording.record_epoch(session, lease, _epoch(702, loss=math.nan, val_loss=-math.inf))
    for response in (
        http.get(f"{url}/metrics?format=csv"),
        http.get(f"{url}/metrics", headers={"Accept": "text/csv"}),
    ):
        assert response.mimetype == "text/csv"
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [int(row["epoch"]) for row in rows] == list(range(1, 703))
        assert list(rows[0])[:4] == ["epoch", "loss", "val_loss", "learning_rate"]
        assert float(rows[0]["loss"]) == 1 / 3
        assert rows[0]["val_loss"] == ""
        assert math.isnan(float(rows[-1]["loss"]))
        assert float(rows[-1]["val_loss"]) == -math.inf
    assert http.get(f"{url}/metrics", headers={"Accept": "*/*"}).mimetype == "application/json"


def test_events_in_pages(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    first = Page[EventView].model_validate_json(http.get(f"{url}/events?limit=1").data)
    rest = Page[EventView].model_validate_json(http.get(f"{url}/events?cursor={first.next_cursor}").data)
    assert [event.kind for event in [*first.data, *rest.data]] == ["submitted", "claimed"]
    after = http.get(f"{url}/events?after={rest.data[-1].id}")
    assert after.json == {"data": [], "next_cursor": None}


def _told(chunks: Iterator[bytes]) -> Iterator[dict[str, str]]:
    """Server-sent events, one dict each; comments are left out."""
    rest = ""
    for chunk in chunks:
        rest += chunk.decode()
        *blocks, rest = rest.split("\n\n")
        for block in blocks:
            if not block.startswith(":"):
                yield dict(line.split(": ", 1) for line in block.splitlines())


def test_events_as_a_stream_until_the_end(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    response = http.get(f"{url}/events?follow=true")
    assert response.mimetype == "text/event-stream"
    told = _told(response.iter_encoded())
    assert next(told)["event"] == "submitted"
    claimed = next(told)
    assert EventView.model_validate_json(claimed["data"]).id == int(claimed["id"])
    with database.write() as session:
        recording.record_phase(session, lease, Phase.TRAINING)
    assert next(told)["event"] == "phase_changed"
    _finish(database, lease)
    assert [event["event"] for event in told] == ["succeeded"]
    response.close()

    again = http.get(f"{url}/events?follow=true", headers={"Last-Event-ID": claimed["id"]})
    assert [event["event"] for event in _told(again.iter_encoded())] == ["phase_changed", "succeeded"]
    again.close()
    wrong = http.get(f"{url}/events?follow=true", headers={"Last-Event-ID": "x"})
    assert wrong.status_code == 422


def test_a_stream_gives_its_place_back(http: FlaskClient, services: Services, url: str) -> None:
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


def test_logs_in_all_forms(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        lines = [LineRecord(AT, "stdout", f"line {n}") for n in range(5)]
        recording.record_log_lines(session, lease, lines)
    first = Page[LogLine].model_validate_json(http.get(f"{url}/logs?limit=3").data)
    rest = Page[LogLine].model_validate_json(http.get(f"{url}/logs?cursor={first.next_cursor}").data)
    assert [line.text for line in [*first.data, *rest.data]] == [f"line {n}" for n in range(5)]
    tail = Page[LogLine].model_validate_json(http.get(f"{url}/logs?tail=2").data)
    assert ([line.text for line in tail.data], tail.next_cursor) == (["line 3", "line 4"], None)
    plain = http.get(f"{url}/logs?after={first.data[-1].id}", headers={"Accept": "text/plain"})
    assert (plain.mimetype, plain.text) == ("text/plain", "line 3\nline 4\n")
    _finish(database, lease)
    stream = http.get(f"{url}/logs?follow=true&after={first.data[-1].id}")
    assert [event["event"] for event in _told(stream.iter_encoded())] == ["stdout", "stdout"]
    stream.close()


def test_a_log_as_text_is_whole(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    told = [f"line {n}\n" for n in range(1_700)]
    with database.write() as session:
        recording.record_log_lines(session, lease, [LineRecord(AT, "stdout", line.strip()) for line in told])
    rows = Page[LogLine].model_validate_json(http.get(f"{url}/logs?limit=1700").data).data
    for query, expected in (
        ("", told),
        (f"?after={rows[99].id}", told[100:]),
        (f"?after={rows[99].id}&limit=1200", told[100:1_300]),
        ("?limit=1200", told[:1_200]),
        ("?tail=1500", told[-1_500:]),
        ("?tail=1500&limit=10", told[-1_500:]),
    ):
        response = http.get(f"{url}/logs{query}", headers={"Accept": "text/plain"})
        assert response.text.splitlines(keepends=True) == expected, query
    assert http.get(f"{url.replace('job_', 'no_')}/logs", headers={"Accept": "text/plain"}).status_code == 404


def test_weights_are_there_from_the_first_epoch_on(
    http: FlaskClient, services: Services, lease: Lease, url: str
) -> None:
    early = http.get(f"{url}/weights/best")
    assert (early.status_code, Problem.model_validate_json(early.data).code) == (404, "no_checkpoint_yet")
    content = bytes(range(256)) * 4000
    _save(services, lease, content, ("best", "last", "ep001-loss1.000.weights.h5"))
    sha256 = hashlib.sha256(content).hexdigest()
    page = Page[CheckpointView].model_validate_json(http.get(f"{url}/checkpoints").data)
    assert [row.name for row in page.data] == ["best", "last", "ep001-loss1.000.weights.h5"]
    for row in page.data:
        response = http.get(row.href)
        assert (response.status_code, response.data) == (200, content)
        assert response.headers["ETag"] == f'"{sha256}"' == f'"{row.sha256}"'
        assert int(response.headers["Content-Length"]) == len(content) == row.size
        head = http.head(row.href)
        assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(content)))
        for tag in (f'"{sha256}"', f'W/"{sha256}"', "*"):
            assert http.get(row.href, headers={"If-None-Match": tag}).status_code == 304
    names = [http.head(row.href).headers["Content-Disposition"] for row in page.data]
    assert f"{lease.job_id}-best.weights.h5" in names[0]
    assert "ep001-loss1.000.weights.h5" in names[2]
    missing = http.get(f"{url}/checkpoints/none")
    assert (missing.status_code, Problem.model_validate_json(missing.data).code) == (404, "checkpoint_not_found")


@pytest.mark.parametrize(
    ("wanted", "status", "first", "stop"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=90-", 206, 90, 100),
        ("bytes=-5", 206, 95, 100),
        ("bytes=50-1000", 206, 50, 100),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("lines=0-9", 200, 0, 100),
        ("bytes=9-1", 200, 0, 100),
        ("nonsense", 200, 0, 100),
        ("bytes=100-", 416, 0, 0),
    ],
)
def test_ranges(
    http: FlaskClient, services: Services, lease: Lease, url: str, wanted: str, status: int, first: int, stop: int
) -> None:
    content = bytes(range(100))
    _save(services, lease, content)
    response = http.get(f"{url}/weights/best", headers={"Range": wanted})
    assert response.status_code == status
    if status == 416:
        assert response.headers["Content-Range"] == "bytes */100"
        return
    assert response.data == content[first:stop]
    assert response.headers.get("Content-Range") == (f"bytes {first}-{stop - 1}/100" if status == 206 else None)


@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=100-"])
def test_a_range_is_of_no_account_where_no_body_is_asked_for(
    http: FlaskClient, services: Services, lease: Lease, url: str, wanted: str
) -> None:
    _save(services, lease, bytes(100))
    response = http.head(f"{url}/weights/best", headers={"Range": wanted})
    assert (response.status_code, response.headers["Content-Length"]) == (200, "100")
    assert "Content-Range" not in response.headers


def test_a_broken_download_goes_on_only_with_the_same_file(
    http: FlaskClient, services: Services, lease: Lease, url: str
) -> None:
    _save(services, lease, b"a" * 100)
    tag = http.head(f"{url}/weights/best").headers["ETag"]
    headers = {"Range": "bytes=50-", "If-Range": tag}
    assert http.get(f"{url}/weights/best", headers=headers).status_code == 206
    assert http.get(f"{url}/weights/best", headers={**headers, "If-Range": f"W/{tag}"}).status_code == 200
    _save(services, lease, b"b" * 100, epoch=2)
    response = http.get(f"{url}/weights/best", headers=headers)
    assert (response.status_code, response.data) == (200, b"b" * 100)


def test_weights_replaced_while_they_are_fetched(http: FlaskClient, services: Services, lease: Lease, url: str) -> None:
    """Each download is one of the files, whole, however often a better one takes its place."""
    _save(services, lease, b"0" * 300_000)
    over = threading.Event()

    def replace() -> None:
        for n in range(1, 40):
            _save(services, lease, str(n % 10).encode() * 300_000, epoch=n)
        over.set()

    writer = threading.Thread(target=replace)
    writer.start()
    fetched = 0
    while not over.is_set():
        response = http.get(f"{url}/weights/best")
        assert response.status_code == 200
        assert f'"{hashlib.sha256(response.data).hexdigest()}"' == response.headers["ETag"]
        fetched += 1
    writer.join()
    assert fetched > 0


def test_a_missing_file_is_our_fault(http: FlaskClient, services: Services, lease: Lease, url: str) -> None:
    _save(services, lease, b"a")
    for path in Path(services.settings.store).rglob("*.h5"):
        path.unlink()
    response = http.get(f"{url}/weights/best")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (500, "internal_server_error")


def test_deleting_a_job_deletes_its_files(
    http: FlaskClient, services: Services, database: Database, lease: Lease, url: str
) -> None:
    _save(services, lease, b"a", ("best",))
    _save(services, lease, b"b", ("last",), epoch=2)
    _finish(database, lease)
    assert http.delete(url).status_code == 204
    assert list(Path(services.settings.store).rglob("*.h5")) == []


def test_workers_are_listed(http: FlaskClient, database: Database, lease: Lease) -> None:
    from service.store import workers

    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=["CPU"], gpus=[])
    answer: Any = http.get("/api/v1/workers").json
    assert [(row["id"], row["alive"], row["jobs"]) for row in answer["data"]] == [("w1", True, [lease.job_id])]
