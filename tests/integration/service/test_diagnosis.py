"""The diagnosis of a job's losses, as the API answers it."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.views import JobView
from service.db import Database
from service.store import leases, recording
from service.store.leases import Lease
from tests.integration.fixture_types import Claim
from tests.reports import epoch_ended

RawSpec = dict[str, Any]
URL = "/api/v1/jobs"


@pytest.fixture
def job_url(http: FlaskClient, raw_spec: RawSpec) -> str:
    """The address of a job with 20 epochs."""
    response = http.post(URL, json={**raw_spec, "fit": {"epochs": 20}})
    assert response.status_code == 201, response.text
    return f"{URL}/{JobView.model_validate_json(response.data).id}"


def _record_losses(database: Database, lease: Lease, losses: list[tuple[float, float | None]]) -> None:
    """Record an epoch for each pair of a training and a validation loss."""
    for epoch, (training, validation) in enumerate(losses, start=1):
        logs = {"loss": training} | ({} if validation is None else {"val_loss": validation})
        with database.write() as session:
            recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(epoch, logs))


def test_a_running_job_is_diagnosed_in_the_language_of_the_reader(
    http: FlaskClient, database: Database, job_url: str, claim: Claim
) -> None:
    assert JobView.model_validate_json(http.get(job_url).data).diagnosis is None
    _record_losses(database, claim().lease, [(1 / epoch, 0.5) for epoch in range(1, 9)])
    english = http.get(job_url)
    diagnosis = JobView.model_validate_json(english.data).diagnosis
    assert diagnosis is not None
    assert (diagnosis.verdict, diagnosis.first_epoch, diagnosis.last_epoch) == ("overfitting", 4, 8)
    assert [movement.trend for movement in diagnosis.movements] == ["falling", "flat"]
    assert (english.headers["Content-Language"], english.headers["Vary"]) == ("en", "Accept-Language")

    for accepted, language in (("zh", "zh"), ("zh-CN,zh;q=0.9,en;q=0.5", "zh"), ("fr, zh;q=0.1", "zh"), ("fr", "en")):
        answer = http.get(job_url, headers={"Accept-Language": accepted})
        assert answer.headers["Content-Language"] == language
        assert ("过拟合" in answer.text) == (language == "zh")
        conditional = {"Accept-Language": accepted, "If-None-Match": english.headers["ETag"]}
        assert http.get(job_url, headers=conditional).status_code == (200 if language == "zh" else 304)


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([(1.0, 1.0)], "too_early"),
        ([(1 / epoch, None) for epoch in range(1, 9)], "no_validation"),
        ([(1 / epoch, 0.5 if epoch % 2 else None) for epoch in range(1, 12)], "overfitting"),
        ([(0.5, 0.5), (float("nan"), float("nan"))], "diverging"),
        ([(0.5, 0.5), (0.5, float("nan"))], "diverging"),
        ([(0.5, float("inf"))], "diverging"),
    ],
)
def test_the_stored_losses_are_diagnosed(
    http: FlaskClient,
    database: Database,
    job_url: str,
    claim: Claim,
    losses: list[tuple[float, float | None]],
    verdict: str,
) -> None:
    _record_losses(database, claim().lease, losses)
    diagnosis = JobView.model_validate_json(http.get(job_url).data).diagnosis
    assert diagnosis is not None
    assert diagnosis.verdict == verdict
