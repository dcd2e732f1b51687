"""Weights of another job are compared with the model before anything is queued."""

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
from tests.trainer.wrong_specs.test_wrong_specs import SOUND, changed


@pytest.fixture
def trained(api: FlaskClient) -> Iterator[str]:
    """The id of a job that has best weights; it is gone after the test."""
    database: Database = api.application.extensions[EXTENSION].database
    with database.write() as session:
        job = jobs.create(session, parse_job(SOUND["cnn"], lambda name: None).spec, [])
        session.flush()
        session.add(
            Checkpoint(
                job_id=job.id, name="best", storage_key="none", format="weights.h5", epoch=1, metrics={}, size=1,
                sha256="0" * 64, attempt=1, created_at=clock.now(session),
            )
        )  # fmt: skip
        made = job.id
    yield made
    with database.write() as session:
        session.delete(jobs.get(session, made))


def asked(api: FlaskClient, job: str, changes: dict[str, Any]) -> Any:
    raw = changed(SOUND["cnn"], {"/initial_weights": {"job": job}, **changes})
    return api.post("/api/v1/jobs?dry_run=true", json=raw)


def test_the_same_model_goes_on(api: FlaskClient, trained: str) -> None:
    answer = asked(api, trained, {"/model/config/layers/5/config/activation": "sigmoid"})
    assert answer.status_code == 200, answer.json
    assert answer.json["notices"] == []


def test_another_one_is_refused(api: FlaskClient, trained: str) -> None:
    answer = asked(api, trained, {"/model/config/layers/4/config/units": 17})
    assert answer.status_code == 422, answer.json
    (fault,) = answer.json["errors"]
    assert (fault["pointer"], fault["code"]) == ("/initial_weights/job", "conflict")
    assert fault["received"] == [[128, 16], [16]]
    assert "[[128, 17], [17]]" in fault["expected"]
