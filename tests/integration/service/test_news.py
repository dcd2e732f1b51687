"""What is new of a job, in one answer: everything once, and nothing twice, whatever attempts do in between."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from fitqueue.reports import Position, PrintedLine
from fitqueue.views import EpochView, JobNews, NumberedStepView
from service.db import Database
from service.models import Job
from service.store import attempt_outcomes, leases, recording, step_metrics
from service.store.leases import Lease
from tests.integration.fixture_types import Claim, Submit
from tests.reports import epoch_ended


class Reader:
    """A client that follows a job by its news, as an open page does."""

    def __init__(self, http: FlaskClient, url: str) -> None:
        self._http, self._url = http, url
        self._etag: str | None = None
        self.epochs: list[EpochView] = []
        self.points: list[NumberedStepView] = []
        self.events: list[int] = []
        self.lines: list[str] = []
        self._line = 0
        self.job_state = ""
        self.last: JobNews | None = None

    def ask(self) -> int:
        """Ask once, and return the status."""
        position = {
            "epoch": self.epochs[-1].epoch if self.epochs else 0,
            "epoch_attempt": self.epochs[-1].attempt if self.epochs else 0,
            "point": self.points[-1].ordinal if self.points else 0,
            "point_attempt": self.points[-1].attempt if self.points else 0,
            "event": self.events[-1] if self.events else 0,
            "line": self._line,
        }
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = self._http.get(f"{self._url}/news", query_string=position, headers=headers)
        self._etag = answer.headers["ETag"]
        if answer.status_code == 200:
            self._take(JobNews.model_validate_json(answer.data))
        return answer.status_code

    def _take(self, news: JobNews) -> None:
        self.last = news
        self.job_state = news.job.state
        self.epochs = [row for row in self.epochs if row.epoch <= news.valid_epoch] + news.epochs
        self.points = [row for row in self.points if row.ordinal <= news.valid_point] + news.points
        self.events += [event.id for event in news.events]
        self.lines += [line.text for line in news.lines]
        self._line = news.lines[-1].id if news.lines else self._line

    def losses(self) -> dict[int, float | None]:
        return {row.epoch: row.metrics["loss"] for row in self.epochs}


@pytest.fixture
def reader(http: FlaskClient, url: str) -> Reader:
    return Reader(http, url)


def _record_epochs(session: Session, job: Job, first: int, last: int, loss: float) -> None:
    for epoch in range(first, last + 1):
        recording.record_epoch(session, job, epoch_ended(epoch, {"loss": loss}))


def _line(text: str) -> PrintedLine:
    return PrintedLine(datetime.now(UTC), "stdout", text)


def test_news_come_once(http: FlaskClient, database: Database, lease: Lease, url: str, reader: Reader) -> None:
    assert reader.ask() == 200
    assert (reader.epochs, reader.lines, len(reader.events)) == ([], [], 2)
    assert reader.ask() == 304
    with database.write() as session:
        job = leases.held_job(session, lease)
        _record_epochs(session, job, 1, 3, 0.5)
        step_metrics.add(session, job, Position(3, 5), {"loss": 0.25})
        recording.record_lines(session, job, [_line("hello")])
    assert reader.ask() == 200
    assert (list(reader.losses()), reader.lines) == ([1, 2, 3], ["hello"])
    assert [(point.epoch, point.step) for point in reader.points] == [(4, 5)]
    assert reader.last is not None
    assert reader.last.diagnosis is not None
    assert reader.ask() == 304
    with database.write() as session:
        recording.record_lines(session, leases.held_job(session, lease), [_line("again")])
    assert reader.ask() == 200
    assert reader.lines == ["hello", "again"], "a line alone is news, too"
    listed = http.get(f"{url}/events").json
    assert listed is not None
    assert reader.events == [event["id"] for event in listed["data"]]


def test_what_an_earlier_attempt_had_beyond_the_snapshot_is_replaced(
    http: FlaskClient, database: Database, lease: Lease, claim: Claim, url: str, reader: Reader
) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        _record_epochs(session, job, 1, 4, 0.5)
        for step in (1, 2, 3):
            step_metrics.add(session, job, Position(4, step), {"loss": 0.5})
    reader.ask()
    assert len(reader.epochs) == 4
    with database.write() as session:
        attempt_outcomes.requeue(session, lease, "the worker shuts down")
    reader.ask()
    again = claim().lease
    reader.ask()  # the attempt is known before it has gone back
    with database.write() as session:
        recording.begin_training(session, leases.held_job(session, again), Position(2, 0))
    reader.ask()
    assert list(reader.losses()) == [1, 2]
    assert reader.points == []
    with database.write() as session:
        job = leases.held_job(session, again)
        _record_epochs(session, job, 3, 4, 0.25)
        step_metrics.add(session, job, Position(4, 2), {"loss": 0.25})
    reader.ask()
    assert reader.losses() == {1: 0.5, 2: 0.5, 3: 0.25, 4: 0.25}
    assert [(point.step, point.attempt) for point in reader.points] == [(2, 2)]


def test_more_than_one_answer_holds_comes_in_several(
    database: Database, lease: Lease, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.news.MAX_EPOCHS", 2)
    with database.write() as session:
        _record_epochs(session, leases.held_job(session, lease), 1, 3, 0.5)
    reader.ask()
    assert reader.last is not None
    assert (len(reader.epochs), reader.last.is_complete) == (2, False)


def test_the_position_of_a_queued_job_is_news(http: FlaskClient, submit: Submit) -> None:
    first, second = submit(), submit()
    reader = Reader(http, f"/api/v1/jobs/{second}")
    reader.ask()
    assert reader.ask() == 304
    http.post(f"/api/v1/jobs/{first}/cancel")
    assert reader.ask() == 200
    assert reader.last is not None
    assert reader.last.job.queue is not None
    assert reader.last.job.queue.position == 1


def test_news_of_a_job_that_does_not_exist(http: FlaskClient) -> None:
    answer = http.get("/api/v1/jobs/job_none/news")
    assert answer.status_code == 404
    assert _code(answer.json) == "job_not_found"
    assert http.get("/api/v1/jobs/job_none/news?epoch=-1").status_code == 422


def _code(body: Any) -> str:
    return str(body["code"])
