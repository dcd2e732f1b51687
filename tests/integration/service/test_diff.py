"""In what two jobs differ."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.views import Best, Difference, JobDiff
from service.api import diff
from service.db import Database
from service.store import leases, recording
from tests.integration.fixture_types import Claim, Submit
from tests.reports import checkpoint_written, epoch_ended


def get_diff(http: FlaskClient, a: str, b: str) -> JobDiff:
    return JobDiff.model_validate_json(http.get(f"/api/v1/jobs/{a}/diff/{b}").data)


def test_specs_and_trainings_are_side_by_side(
    http: FlaskClient, database: Database, submit: Submit, claim: Claim
) -> None:
    a = submit(name="a", labels={"team": "vision"}, seed=1)
    lease = claim().lease
    with database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_epoch(session, job, epoch_ended(1, {"loss": 0.5}, seconds=2.0))
        recording.record_epoch(session, job, epoch_ended(2, {"loss": float("nan")}, seconds=3.0))
        recording.record_checkpoint(session, job, checkpoint_written(["best"], 1, value=0.5), "key")
    b = submit(name="b", seed=2)
    answer = get_diff(http, a, b)
    assert answer.differences == [
        Difference(pointer="/name", values={a: "a", b: "b"}),
        Difference(pointer="/seed", values={a: 1, b: 2}),
        Difference(pointer="/labels/team", values={a: "vision"}),
    ]
    trained, waiting = answer.jobs
    assert (trained.id, trained.name, trained.state, trained.epochs_trained, trained.seconds) == (
        a, "a", "running", 2, 5.0,
    )  # fmt: skip
    assert trained.best == Best(epoch=1, monitor="loss", value=0.5)
    assert trained.last is not None
    assert (trained.last.epoch, trained.last.non_finite_values) == (2, {"loss": "NaN"})
    assert (waiting.id, waiting.best, waiting.last, waiting.epochs_trained, waiting.seconds) == (b, None, None, 0, 0.0)
    assert [job.id for job in get_diff(http, b, a).jobs] == [b, a]
    assert get_diff(http, a, a).differences == []


@pytest.mark.parametrize("missing", ["first", "second"])
def test_the_job_that_does_not_exist_is_named(http: FlaskClient, submit: Submit, missing: str) -> None:
    ids = ["job_none", submit()] if missing == "first" else [submit(), "job_none"]
    response = http.get(f"/api/v1/jobs/{ids[0]}/diff/{ids[1]}")
    assert response.status_code == 404
    assert response.json is not None
    assert (response.json["code"], response.json["detail"]) == ("job_not_found", "There is no job 'job_none'.")


def test_the_answer_is_bounded(http: FlaskClient, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    many: dict[str, Any] = {f"label-{number:02}": "x" * 100 for number in range(16)}
    a, b = submit(labels=many, seed=1), submit(seed=1)
    assert len(get_diff(http, a, b).differences) == 16
    monkeypatch.setattr(diff, "MAX_DIFFERENCES", 16)
    assert get_diff(http, a, b).is_complete
    monkeypatch.setattr(diff, "MAX_DIFFERENCES", 15)
    answer = get_diff(http, a, b)
    assert (len(answer.differences), answer.is_complete) == (15, False)
    monkeypatch.setattr(diff, "MAX_CHARACTERS", 300)
    assert len(get_diff(http, a, b).differences) == 3
    monkeypatch.setattr(diff, "MAX_VALUE", 101)
    first = get_diff(http, a, b).differences[0]
    assert (first.values, first.too_long) == ({}, [a])
