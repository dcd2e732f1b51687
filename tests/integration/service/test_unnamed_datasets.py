"""Data sets that nobody named: hidden from lists, found by their content, and deleted when nobody uses them."""

import hashlib
import io
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from fitqueue.states import Reason
from fitqueue.views import DatasetView, JobView, Page, Problem
from service.api.context import Services
from service.purging import purge_unnamed_datasets
from service.store import attempt_outcomes
from tests.integration.fixture_types import AdvanceClock, Claim
from tests.integration.service.npz import npz

URL = "/api/v1/datasets"
UNUSED_FOR = timedelta(days=30)
DAY = 24 * 3600.0


def _body(seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    return npz(x=rng.random((20, 8, 8)).astype("float32"), y=rng.integers(0, 10, 20))


def _upload(http: FlaskClient, seed: int = 0, name: str | None = None) -> DatasetView:
    response = http.post(URL, query_string={"name": name} if name else {}, data=io.BytesIO(_body(seed)))
    return DatasetView.model_validate_json(response.data)


def _ids(http: FlaskClient, **query: Any) -> list[str]:
    response = http.get(URL, query_string=query)
    assert response.status_code == 200, response.text
    return [row.id for row in Page[DatasetView].model_validate_json(response.data).data if not row.builtin]


def _purge(services: Services) -> None:
    purge_unnamed_datasets(services.database, services.storage, UNUSED_FOR, Event())


def _submit(http: FlaskClient, raw_spec: dict[str, Any], dataset: DatasetView) -> JobView:
    response = http.post("/api/v1/jobs", json=raw_spec | {"data": {"dataset": dataset.id, "x": "x", "y": "y"}})
    assert response.status_code == 201, response.text
    return JobView.model_validate_json(response.data)


def test_they_are_listed_on_demand(http: FlaskClient) -> None:
    named, unnamed = _upload(http, 0, "mine"), _upload(http, 1)
    assert _ids(http) == [named.id]
    assert _ids(http, unnamed="true") == [unnamed.id, named.id]
    assert http.get(f"{URL}/{unnamed.id}").status_code == 200


def test_they_are_found_by_their_content(http: FlaskClient) -> None:
    unnamed = _upload(http)
    sha256 = hashlib.sha256(_body()).hexdigest()
    assert _ids(http, sha256=sha256) == [unnamed.id]
    named = _upload(http, 0, "mine")
    assert _ids(http, sha256=sha256) == [named.id, unnamed.id]
    assert _ids(http, sha256="0" * 64) == []
    page = Page[DatasetView].model_validate_json(http.get(f"{URL}?sha256={sha256}&limit=1").data)
    assert [row.id for row in page.data] == [named.id]
    assert _ids(http, sha256=sha256, cursor=page.next_cursor) == [unnamed.id]
    refused = http.get(f"{URL}?sha256=abc")
    assert (refused.status_code, Problem.model_validate_json(refused.data).code) == (422, "invalid_request")


def test_the_unused_are_deleted_with_their_files(
    http: FlaskClient, services: Services, storage_folder: Path, advance_clock: AdvanceClock
) -> None:
    named, unnamed = _upload(http, 0, "mine"), _upload(http, 1)
    advance_clock(29 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == [unnamed.id, named.id]
    advance_clock(2 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == [named.id]
    assert [path.stem for path in storage_folder.rglob("*.npz")] == [named.id]


@pytest.mark.parametrize("use", ["upload", "search", "submit"])
def test_a_use_keeps_them(
    use: str, http: FlaskClient, services: Services, raw_spec: dict[str, Any], advance_clock: AdvanceClock
) -> None:
    unnamed, other = _upload(http, 0), _upload(http, 1)
    advance_clock(29 * DAY)
    if use == "upload":
        assert _upload(http, 0).id == unnamed.id
    elif use == "search":
        assert _ids(http, sha256=unnamed.sha256) == [unnamed.id]
    else:
        job = _submit(http, raw_spec, unnamed)
        assert http.post(f"/api/v1/jobs/{job.id}/cancel").status_code == 202
        assert http.delete(f"/api/v1/jobs/{job.id}").status_code == 204
    advance_clock(29 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == [unnamed.id], other.id
    advance_clock(2 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == []


def test_a_job_that_has_not_ended_keeps_them_and_a_while_longer(
    http: FlaskClient, services: Services, raw_spec: dict[str, Any], claim: Claim, advance_clock: AdvanceClock
) -> None:
    unnamed = _upload(http)
    job = _submit(http, raw_spec, unnamed)
    advance_clock(100 * DAY)
    _purge(services)
    lease = claim().lease
    advance_clock(100 * DAY)
    _purge(services)
    with services.database.write() as session:
        attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
    advance_clock(29 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == [unnamed.id]
    advance_clock(2 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == []
    assert http.get(f"/api/v1/jobs/{job.id}").status_code == 200
    extended = http.post(f"/api/v1/jobs/{job.id}/extend", json={"epochs": 1})
    assert extended.status_code == 409
    later = http.post("/api/v1/jobs", json=raw_spec | {"data": {"dataset": unnamed.id, "x": "x", "y": "y"}})
    assert [fault.pointer for fault in Problem.model_validate_json(later.data).errors] == ["/data/dataset"]
    assert _upload(http).id != unnamed.id


def test_many_are_deleted_in_steps(
    http: FlaskClient, services: Services, advance_clock: AdvanceClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.purging.DATASETS", 2)
    for seed in range(5):
        _upload(http, seed)
    advance_clock(31 * DAY)
    _purge(services)
    assert _ids(http, unnamed="true") == []
