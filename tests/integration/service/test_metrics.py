"""The metrics of a job, as JSON and as CSV."""

import csv
import io
import math

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from fitqueue.reports import Position
from fitqueue.views import EpochView, Page, StepView
from service.db import Database
from service.models import Job
from service.store import leases, recording, step_metrics
from service.store.leases import Lease
from tests.reports import epoch_ended


def _record_epoch(session: Session, job: Job, epoch: int, **logs: float) -> None:
    recording.record_epoch(session, job, epoch_ended(epoch, logs, seconds=0.5, steps=10))


def test_metrics_as_json_come_in_pages(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        for epoch in range(1, 6):
            _record_epoch(session, job, epoch, loss=1 / epoch, bad=math.nan)
    page = Page[EpochView].model_validate_json(http.get(f"{url}/metrics?limit=2").data)
    assert [row.epoch for row in page.data] == [1, 2]
    assert page.data[0].metrics == {"loss": 1.0, "bad": None}
    assert (page.data[0].non_finite, page.data[0].steps_per_second) == (["bad"], 20.0)
    page = Page[EpochView].model_validate_json(http.get(f"{url}/metrics?limit=3&cursor={page.next_cursor}").data)
    assert ([row.epoch for row in page.data], page.next_cursor) == ([3, 4, 5], None)


def test_names_in_csv(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    values = {"=1+1": 0.25, "a,b": 0.5, "准确率": 0.75, "f1-score": -1.0, "seconds": 9.0}
    with database.write() as session:
        _record_epoch(session, leases.held_job(session, lease), 1, loss=1.0, learning_rate=0.1, **values)
    [row] = csv.DictReader(io.StringIO(http.get(f"{url}/metrics?format=csv").text))
    expected = {"'=1+1": "0.25", "a,b": "0.5", "准确率": "0.75", "f1-score": "-1.0", "seconds (metric)": "9.0"}
    assert {name: row[name] for name in expected} == expected
    [epoch] = Page[EpochView].model_validate_json(http.get(f"{url}/metrics").data).data
    assert epoch.metrics.items() >= values.items()


def test_metrics_as_csv_are_complete(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        for epoch in range(1, 702):
            _record_epoch(session, job, epoch, loss=1 / 3, learning_rate=0.1)
        _record_epoch(session, job, 702, loss=math.nan, val_loss=-math.inf)
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


def test_points_within_epochs_come_in_pages(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    points = [(epoch, step) for epoch in (1, 2, 3) for step in (10, 20)]
    with database.write() as session:
        job = leases.held_job(session, lease)
        for epoch, step in points:
            step_metrics.add(session, job, Position(epoch - 1, step), {"loss": 1 / step, "bad": math.inf})
    listed: list[StepView] = []
    cursor = ""
    while True:
        page = Page[StepView].model_validate_json(http.get(f"{url}/metrics?within=epoch&limit=4{cursor}").data)
        assert len(page.data) <= 4
        listed += page.data
        if page.next_cursor is None:
            break
        cursor = f"&cursor={page.next_cursor}"
    assert [(point.epoch, point.step) for point in listed] == points
    assert listed[0].metrics == {"loss": 0.1, "bad": None}
    assert (listed[0].non_finite, listed[0].non_finite_values) == (["bad"], {"bad": "Infinity"})
    later = Page[StepView].model_validate_json(http.get(f"{url}/metrics?within=epoch&after=2").data)
    assert [(point.epoch, point.step) for point in later.data] == points[4:]
    assert http.get(f"{url}/metrics?within=step").status_code == 422
    assert http.get("/api/v1/jobs/job_none/metrics?within=epoch").status_code == 404


def test_points_within_epochs_as_csv(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        step_metrics.add(session, job, Position(0, 10), {"loss": 1 / 3, "=1+1": 0.5, "step": 7.0})
        step_metrics.add(session, job, Position(1, 20), {"loss": math.nan, "late": -math.inf})
    response = http.get(f"{url}/metrics?within=epoch&format=csv")
    assert response.mimetype == "text/csv"
    first, second = csv.DictReader(io.StringIO(response.text))
    assert list(first) == ["epoch", "step", "loss", "'=1+1", "step (metric)", "late", "attempt", "at"]
    assert (first["epoch"], first["step"], float(first["loss"]), first["late"]) == ("1", "10", 1 / 3, "")
    assert (second["loss"], second["late"], second["step (metric)"]) == ("nan", "-inf", "")
    assert http.get(f"{url}/metrics?within=epoch", headers={"Accept": "text/csv"}).text == response.text
