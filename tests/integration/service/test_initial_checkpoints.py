"""Jobs that start from a checkpoint of another job: which one they get, and what is refused."""

import hashlib
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.states import Reason
from fitqueue.views import CheckpointView, Page, Problem
from service.api.context import Services
from service.store import attempt_outcomes
from service.store.leases import Lease
from tests.integration.fixture_types import Claim
from tests.integration.service.saving import save_checkpoint

NAMED = "e01.weights.h5"
WHOLE = "whole.keras"
URL = "/api/v1/jobs"


@pytest.fixture
def source(services: Services, lease: Lease) -> str:
    """The id of a job that has ended, without its optimizer in the end. Its files tell what they are."""
    save_checkpoint(services, lease, b"best", ["best"])
    save_checkpoint(services, lease, b"last", ["last"])
    save_checkpoint(services, lease, b"named", [NAMED], has_optimizer=True)
    save_checkpoint(services, lease, b"whole", [WHOLE], format="keras")
    return _ended(services, lease)


@pytest.fixture
def source_with_optimizer(services: Services, lease: Lease) -> str:
    """The id of a job that has ended, and has saved its optimizer."""
    save_checkpoint(services, lease, b"last", ["best", "last"])
    save_checkpoint(services, lease, b"last and optimizer", ["last_with_optimizer"], has_optimizer=True)
    return _ended(services, lease)


def _ended(services: Services, lease: Lease) -> str:
    with services.database.write() as session:
        attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
    return lease.job_id


def _claimed_content(
    http: FlaskClient, services: Services, claim: Claim, raw_spec: dict[str, Any], initial: dict[str, Any]
) -> bytes:
    """Return the file that a job with these initial weights starts from."""
    response = http.post(URL, json=raw_spec | {"initial_weights": initial})
    assert response.status_code == 201, response.text
    claimed = claim()
    assert claimed.initial_weights_key is not None
    content = b"".join(services.storage.open(claimed.initial_weights_key))
    assert claimed.initial_weights_sha256 == hashlib.sha256(content).hexdigest()
    return content


@pytest.mark.parametrize(
    ("checkpoint", "content"),
    [(None, b"best"), ("best", b"best"), ("last", b"last"), (NAMED, b"named"), (WHOLE, b"whole")],
)
def test_a_job_starts_from_the_checkpoint_that_it_names(
    checkpoint: str | None,
    content: bytes,
    http: FlaskClient,
    services: Services,
    claim: Claim,
    raw_spec: dict[str, Any],
    source: str,
) -> None:
    initial = {"job": source} | ({} if checkpoint is None else {"checkpoint": checkpoint})
    assert _claimed_content(http, services, claim, raw_spec, initial) == content


@pytest.mark.parametrize(("optimizer", "content"), [(False, b"last"), (True, b"last and optimizer")])
def test_the_end_of_a_job_may_come_with_its_optimizer(
    optimizer: bool,
    content: bytes,
    http: FlaskClient,
    services: Services,
    claim: Claim,
    raw_spec: dict[str, Any],
    source_with_optimizer: str,
) -> None:
    initial = {"job": source_with_optimizer, "checkpoint": "last", "optimizer": optimizer}
    assert _claimed_content(http, services, claim, raw_spec, initial) == content


@pytest.mark.parametrize(
    ("initial", "field", "code", "words"),
    [
        ({"checkpoint": "e02.weights.h5"}, "checkpoint", "unknown_checkpoint", "has no checkpoint 'e02.weights.h5'"),
        ({"checkpoint": "last", "optimizer": True}, "checkpoint", "unknown_checkpoint", "has not saved its optimizer"),
        ({"optimizer": True}, "optimizer", "conflict", "'best' was saved without"),
        ({"checkpoint": WHOLE, "states": True}, "states", "conflict", "Keras writes no states"),
    ],
)
def test_what_a_job_has_not_saved_is_a_fault(
    initial: dict[str, Any],
    field: str,
    code: str,
    words: str,
    http: FlaskClient,
    raw_spec: dict[str, Any],
    source: str,
) -> None:
    response = http.post(f"{URL}?dry_run=true", json=raw_spec | {"initial_weights": {"job": source, **initial}})
    assert response.status_code == 422, response.text
    [fault] = Problem.model_validate_json(response.data).errors
    assert (fault.pointer, fault.code) == (f"/initial_weights/{field}", code)
    assert words in fault.message
    if code == "unknown_checkpoint":
        assert fault.expected == f"one of 'best', 'last', '{NAMED}', '{WHOLE}'"


def test_a_checkpoint_of_a_job_that_has_none_is_a_fault_of_the_job(
    http: FlaskClient, raw_spec: dict[str, Any], lease: Lease
) -> None:
    initial = {"job": lease.job_id, "checkpoint": "last"}
    response = http.post(f"{URL}?dry_run=true", json=raw_spec | {"initial_weights": initial})
    [fault] = Problem.model_validate_json(response.data).errors
    assert (fault.pointer, fault.code) == ("/initial_weights/job", "unknown_job")


def test_the_last_weights_can_be_fetched_with_the_optimizer(
    http: FlaskClient, services: Services, lease: Lease, url: str
) -> None:
    save_checkpoint(services, lease, b"last", ["best", "last"])
    early = http.get(f"{url}/weights/last_with_optimizer")
    problem = Problem.model_validate_json(early.data)
    assert (early.status_code, problem.code) == (404, "checkpoint_not_found")
    assert "a job with `save_optimizer` does when its training ends" in problem.detail
    save_checkpoint(services, lease, b"whole", ["last_with_optimizer"], has_optimizer=True)
    save_checkpoint(services, lease, b"named", [NAMED])
    page = Page[CheckpointView].model_validate_json(http.get(f"{url}/checkpoints").data)
    assert [(row.name, row.has_optimizer) for row in page.data] == [
        ("best", False),
        ("last", False),
        ("last_with_optimizer", True),
        (NAMED, False),
    ]
    assert http.get(page.data[2].href).data == http.get(f"{url}/weights/last_with_optimizer").data == b"whole"
    disposition = http.head(page.data[2].href).headers["Content-Disposition"]
    assert f"{lease.job_id}-last_with_optimizer.weights.h5" in disposition
