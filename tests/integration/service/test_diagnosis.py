"""The diagnosis of a job's losses, as the API answers it."""

from collections.abc import Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.diagnosis import Diagnosis
from fitqueue.states import Reason
from fitqueue.views import JobView
from service.db import Database
from service.store import attempt_outcomes, leases, recording
from service.store.leases import Lease
from tests.integration.fixture_types import Claim
from tests.integration.store.operations import record_snapshot
from tests.reports import epoch_ended

RawSpec = dict[str, Any]
URL = "/api/v1/jobs"


@pytest.fixture
def job_url(http: FlaskClient, raw_spec: RawSpec) -> str:
    """The address of a job with 20 epochs."""
    response = http.post(URL, json={**raw_spec, "fit": {"epochs": 20}})
    assert response.status_code == 201, response.text
    return f"{URL}/{JobView.model_validate_json(response.data).id}"


def _record_losses(
    database: Database, lease: Lease, losses: list[tuple[float, float | None]], rates: Sequence[float] = ()
) -> None:
    """Record an epoch for each pair of a training and a validation loss."""
    for epoch, (training, validation) in enumerate(losses, start=1):
        logs = {"loss": training} | ({} if validation is None else {"val_loss": validation})
        rate = {"learning_rate": rates[epoch - 1], "next_learning_rate": rates[epoch - 1]} if rates else {}
        with database.write() as session:
            recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(epoch, logs, **rate))


def _diagnosis(http: FlaskClient, job_url: str) -> Diagnosis:
    diagnosis = JobView.model_validate_json(http.get(job_url).data).diagnosis
    assert diagnosis is not None
    return diagnosis


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
    assert english.headers["Content-Language"] == "en"
    assert "Accept-Language" in english.vary

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


def test_a_job_that_a_callback_ended_is_not_advised_to_train_longer_until_it_is_extended(
    http: FlaskClient, database: Database, job_url: str, claim: Claim
) -> None:
    lease = claim().lease
    _record_losses(database, lease, [(1 - epoch / 20, 1.1 - epoch / 20) for epoch in range(9)])
    running = _diagnosis(http, job_url)
    record_snapshot(database, lease, 9)
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.EARLY_STOPPED, "EarlyStopping ended it.")
    stopped = _diagnosis(http, job_url)
    assert running.verdict == stopped.verdict == "learning"
    assert "fitqueue extend" in running.advice
    assert "fitqueue extend" not in stopped.advice

    assert http.post(f"{job_url}/extend", json={"epochs": 5}).status_code == 202
    assert _diagnosis(http, job_url).advice == running.advice


def test_losses_that_stand_still_when_a_callback_ends_the_job_have_converged(
    http: FlaskClient, database: Database, job_url: str, claim: Claim
) -> None:
    lease = claim().lease
    _record_losses(database, lease, [(0.1 + 4.0**-epoch, 0.2 + 4.0**-epoch) for epoch in range(18)])
    assert _diagnosis(http, job_url).verdict == "bottleneck"
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.EARLY_STOPPED, "EarlyStopping ended it.")
    assert _diagnosis(http, job_url).verdict == "converged"


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        ([0.1] * 8, "learning"),
        ([0.1] * 7 + [0.002], "learning"),
        ([0.1] * 7 + [0.0009], "converged"),
        ([0.0001, *[0.1] * 6, 0.0009], "converged"),  # a schedule with a warmup
    ],
)
def test_the_learning_rate_counts(
    http: FlaskClient, database: Database, job_url: str, claim: Claim, rates: list[float], verdict: str
) -> None:
    losses: list[tuple[float, float | None]] = [(1 - epoch / 20, 1.1 - epoch / 20) for epoch in range(8)]
    _record_losses(database, claim().lease, losses, rates)
    assert _diagnosis(http, job_url).verdict == verdict
