"""Upload weights over HTTP, and start a job with them."""

import hashlib
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from flask.testing import FlaskClient

from fitqueue.states import Reason
from fitqueue.views import DatasetView, Page, Problem
from service.api.context import Services
from service.store import attempt_outcomes
from tests.integration.fixture_types import Claim
from tests.integration.service.npz import npz

URL = "/api/v1/datasets"


def _weights(**changes: Any) -> bytes:
    """Return the weights of a Dense as Keras 3 writes them."""
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables.attrs["name"] = "head"
        variables["0"], variables["1"] = np.ones((64, 10), "float32"), np.zeros(10, "float32")
        for name, value in changes.items():
            variables[name] = value
    return body.getvalue()


def _job(raw_spec: dict[str, Any], **initial_weights: Any) -> dict[str, Any]:
    return raw_spec | {"initial_weights": initial_weights}


def test_weights_are_kept_as_arrays(http: FlaskClient, storage_folder: Path) -> None:
    response = http.post(f"{URL}?name=mine", data=_weights(), content_type="application/x-hdf5")
    assert response.status_code == 201, response.text
    dataset = DatasetView.model_validate_json(response.data)
    assert [(array.name, array.shape, array.dtype) for array in dataset.arrays] == [
        ("layers/dense[head]/vars/0", [64, 10], "float32"),
        ("layers/dense[head]/vars/1", [10], "float32"),
    ]
    [stored] = [path for path in storage_folder.rglob("*") if path.is_file()]
    assert stored.stat().st_size == dataset.size
    with np.load(stored) as archive:
        assert archive["layers/dense[head]/vars/0"].sum() == 640
    again = http.post(f"{URL}?name=mine", data=_weights())
    assert (again.status_code, again.json) == (200, response.json)


def test_weights_that_cannot_be_read_are_refused_and_leave_no_file(http: FlaskClient, storage_folder: Path) -> None:
    for body in (_weights()[:900], _weights(link=h5py.ExternalLink("/etc/passwd", "/"))):
        response = http.post(URL, data=body)
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_dataset")
    assert [path for path in storage_folder.rglob("*") if path.is_file()] == []


def test_a_job_keeps_the_weights_that_it_starts_with(
    http: FlaskClient, services: Services, raw_spec: dict[str, Any], claim: Claim
) -> None:
    dataset = DatasetView.model_validate_json(http.post(f"{URL}?name=mine", data=_weights()).data)
    response = http.post("/api/v1/jobs", json=_job(raw_spec, dataset="mine", by_name=True))
    assert response.status_code == 201, response.text
    assert http.delete(f"{URL}/mine").status_code == 409
    claimed = claim()
    assert claimed.weights_dataset_key is not None
    assert (claimed.weights_dataset_sha256, claimed.dataset_key) == (dataset.sha256, None)
    with services.database.write() as session:
        attempt_outcomes.finish(session, claimed.lease, Reason.COMPLETED, "The training ended.")
    assert http.delete(f"{URL}/mine").status_code == 204


def test_weights_that_are_not_there_are_faults(http: FlaskClient, raw_spec: dict[str, Any]) -> None:
    http.post(f"{URL}?name=arrays", data=npz(x=np.zeros(3)))
    for initial_weights, pointer, code in (
        ({"dataset": "nothing"}, "/initial_weights/dataset", "unknown_dataset"),
        ({"dataset": "arrays"}, "/initial_weights/dataset", "conflict"),
        ({"dataset": "mnist"}, "/initial_weights/dataset", "unknown_dataset"),
        ({"dataset": "arrays", "job": "job_1"}, "/initial_weights", "conflict"),
        ({}, "/initial_weights", "conflict"),
        ({"by_name": True}, "/initial_weights", "conflict"),
        ({"job": "job_1", "by_names": True}, "/initial_weights/by_names", "unknown_field"),
        ({"dataset": "arrays", "checkpoint": "last"}, "/initial_weights", "conflict"),
        ({"dataset": "arrays", "optimizer": True, "by_name": True}, "/initial_weights", "conflict"),
        ({"dataset": "arrays", "states": True, "skip_mismatch": True}, "/initial_weights", "conflict"),
        ({"job": "job_1", "checkpoint": ""}, "/initial_weights/checkpoint", "out_of_range"),
        ({"job": "job_1", "checkpoint": 1}, "/initial_weights/checkpoint", "wrong_type"),
    ):
        response = http.post("/api/v1/jobs?dry_run=true", json=_job(raw_spec, **initial_weights))
        assert response.status_code == 422
        assert (pointer, code) in [(fault["pointer"], fault["code"]) for fault in response.json["errors"]]


def test_the_same_weights_are_found_by_what_was_sent(http: FlaskClient) -> None:
    body = _weights()
    sent = hashlib.sha256(body).hexdigest()
    assert Page[DatasetView].model_validate_json(http.get(f"{URL}?sha256={sent}").data).data == []
    dataset = DatasetView.model_validate_json(http.post(URL, data=body).data)
    assert dataset.sha256 != sent
    for sha256 in (sent, dataset.sha256):
        assert Page[DatasetView].model_validate_json(http.get(f"{URL}?sha256={sha256}").data).data == [dataset]
