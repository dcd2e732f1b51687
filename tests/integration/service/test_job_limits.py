"""The limits of a service at the POST, and the runtime that it gives to jobs without one."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.states import Reason
from service.db import Database
from service.settings import Settings
from service.store import attempt_outcomes, leases, snapshots
from tests.integration.fixture_types import Claim
from tests.reports import snapshot_written

URL = "/api/v1/jobs"
EACH_EPOCH = {"class_name": "ModelCheckpoint", "config": {"filepath": "{epoch}.weights.h5", "save_weights_only": True}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_epochs": 50, "max_checkpoints": 20, "default_max_runtime_seconds": 3600})


def faults(http: FlaskClient, job: dict[str, Any]) -> list[tuple[str, str]]:
    response = http.post(f"{URL}?dry_run=true", json=job)
    errors = [] if response.status_code == 200 else response.json["errors"]  # type: ignore[index]
    return [(fault["pointer"], fault["code"]) for fault in errors]


def test_more_epochs_than_the_service_trains(http: FlaskClient, raw_spec: dict[str, Any]) -> None:
    assert faults(http, raw_spec | {"fit": {"epochs": 50}}) == []
    assert faults(http, raw_spec | {"fit": {"epochs": 51}}) == [("/fit/epochs", "out_of_range")]
    many = faults(http, raw_spec | {"fit": {"epochs": 51}, "callbacks": 3})
    assert ("/fit/epochs", "out_of_range") in many, "it is told beside other faults"


def test_more_checkpoints_than_the_service_keeps(http: FlaskClient, raw_spec: dict[str, Any]) -> None:
    job = raw_spec | {"fit": {"epochs": 21}}
    redundant = {"class_name": "BackupAndRestore", "config": {"backup_dir": "backup"}}
    pointer = "/callbacks/1/config/filepath"
    assert faults(http, job | {"callbacks": [redundant, EACH_EPOCH]}) == [(pointer, "too_large")]
    assert faults(http, job | {"callbacks": [redundant, EACH_EPOCH], "max_runtime_seconds": 60}) == []
    assert faults(http, raw_spec | {"fit": {"epochs": 20}, "callbacks": [EACH_EPOCH]}) == []


def test_a_job_without_a_runtime_gets_that_of_the_service(http: FlaskClient, raw_spec: dict[str, Any]) -> None:
    checked = http.post(f"{URL}?dry_run=true", json=raw_spec).json
    stored = http.post(URL, json=raw_spec).json
    for answer in (checked, stored):
        assert answer is not None
        assert answer["spec"]["max_runtime_seconds"] == 3600
        added = [notice["code"] for notice in answer["notices"] if notice["pointer"] == "/max_runtime_seconds"]
        assert added == ["filled_in"]
    own = http.post(URL, json=raw_spec | {"max_runtime_seconds": 7200}).json
    assert own is not None
    assert own["spec"]["max_runtime_seconds"] == 7200


def test_an_extension_beyond_the_limit(
    http: FlaskClient, raw_spec: dict[str, Any], database: Database, claim: Claim
) -> None:
    response = http.post(URL, json=raw_spec)
    assert response.json is not None
    job_id, lease = response.json["id"], claim().lease
    with database.write() as session:
        job = leases.held_job(session, lease)
        snapshots.record(session, job, snapshot_written(1), "snapshots/a")
        attempt_outcomes.finish(session, lease, Reason.LIMIT_REACHED, "The job has too many checkpoints.")
    refused = http.post(f"{URL}/{job_id}/extend", json={"epochs": 51})
    assert refused.json is not None
    assert (refused.status_code, refused.json["code"]) == (409, "job_not_extendable")
    assert "at most 50 epochs" in refused.json["detail"]
    assert http.post(f"{URL}/{job_id}/extend", json={"epochs": 50}).status_code == 202
