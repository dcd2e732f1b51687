"""The weights of another job are compared with the model before the job is queued."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.spec import parse_job
from service import clock
from service.api.context import EXTENSION
from service.db import Database
from service.models import Checkpoint
from service.store import jobs
from tests.trainer.wrong_specs.test_wrong_specs import VALID, changed


@pytest.fixture
def trained(api: FlaskClient) -> Iterator[str]:
    """The id of a job with best weights, which is deleted after the test."""
    database: Database = api.application.extensions[EXTENSION].database
    with database.write() as session:
        job = jobs.create(session, parse_job(VALID["cnn"], lambda name: None).spec, [])
        session.flush()
        session.add(
            Checkpoint(
                job_id=job.id, name="best", storage_key="none", format="weights.h5", epoch=1, metrics={}, size=1,
                sha256="0" * 64, attempt=1, created_at=clock.now(session),
            )
        )  # fmt: skip
        job_id = job.id
    yield job_id
    with database.write() as session:
        session.delete(jobs.get(session, job_id))


def dry_run(api: FlaskClient, job: str, changes: dict[str, Any]) -> Any:
    raw = changed(VALID["cnn"], {"/initial_weights": {"job": job}, **changes})
    return api.post("/api/v1/jobs?dry_run=true", json=raw)


def test_weights_of_the_same_model_are_accepted(api: FlaskClient, trained: str) -> None:
    response = dry_run(api, trained, {"/model/config/layers/5/config/activation": "sigmoid"})
    assert response.status_code == 200, response.json
    assert response.json["notices"] == []


def test_weights_of_another_model_are_refused(api: FlaskClient, trained: str) -> None:
    response = dry_run(api, trained, {"/model/config/layers/4/config/units": 17})
    assert response.status_code == 422, response.json
    (fault,) = response.json["errors"]
    assert (fault["pointer"], fault["code"]) == ("/initial_weights/job", "conflict")
    assert fault["received"] == [[128, 16], [16]]
    assert "[[128, 17], [17]]" in fault["expected"]
