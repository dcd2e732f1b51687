"""Initial weights are compared with the model before the job is queued, and the answer says which layers they fill."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from fitqueue.datasets import ArrayInfo
from fitqueue.spec import parse_job
from service import clock
from service.api.context import EXTENSION
from service.db import Database
from service.models import Checkpoint
from service.store import datasets, jobs
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


def dry_run(api: FlaskClient, job: str, changes: dict[str, Any], **options: Any) -> Any:
    raw = changed(VALID["cnn"], {"/initial_weights": {"job": job, **options}, **changes})
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


HEAD = "/model/config/layers/5/config"
CLASSES = "/data/prepare/y/0/one_hot"


def test_the_layers_that_are_filled_are_named(api: FlaskClient, trained: str) -> None:
    response = dry_run(api, trained, {f"{HEAD}/units": 12, CLASSES: 12}, skip_mismatch=True)
    _assert_initialized(response, new="dense_1")


def test_a_new_head_has_another_name(api: FlaskClient, trained: str) -> None:
    changes = {f"{HEAD}/name": "head", f"{HEAD}/units": 12, CLASSES: 12}
    _assert_initialized(dry_run(api, trained, changes, by_name=True), new="head", unused="dense_1")


def _assert_initialized(response: Any, new: str, unused: str | None = None) -> None:
    assert response.status_code == 200, response.json
    [message] = [notice["message"] for notice in response.json["notices"] if notice["code"] == "initialized"]
    assert f"Newly initialized: '{new}'." in message
    assert "'conv2d'" in message.partition("Newly")[0]
    assert (f"Stored but not used: '{unused}'" in message) == (unused is not None)


def test_a_layer_of_the_same_name_must_match(api: FlaskClient, trained: str) -> None:
    response = dry_run(api, trained, {f"{HEAD}/units": 12, CLASSES: 12}, by_name=True)
    assert response.status_code == 422
    assert ("/initial_weights/job", "conflict") in [(f["pointer"], f["code"]) for f in response.json["errors"]]


def test_weights_that_fill_nothing_are_suspicious(api: FlaskClient, trained: str) -> None:
    names = {f"/model/config/layers/{i}/config/name": f"other_{i}" for i in range(6)}
    response = dry_run(api, trained, names, by_name=True)
    assert ("/initial_weights", "suspicious") in [(n["pointer"], n["code"]) for n in response.json["notices"]]


@pytest.fixture
def uploaded(api: FlaskClient) -> Iterator[Callable[[dict[str, list[int]]], str]]:
    """Return a function that makes a data set with arrays of these shapes."""
    database: Database = api.application.extensions[EXTENSION].database

    def upload(shapes: dict[str, list[int]]) -> str:
        arrays = {name: ArrayInfo(tuple(shape), "float32") for name, shape in shapes.items()}
        with database.write() as session:
            datasets.create(session, "ds_weights", "weights", "1" * 64, 10, arrays)
        return "weights"

    yield upload
    with database.write() as session:
        datasets.delete(session, "weights")


@pytest.mark.parametrize(("kernel", "status"), [([64, 10], 200), ([63, 10], 422)])
def test_weights_from_a_file_are_compared_by_their_shapes(
    kernel: list[int], status: int, api: FlaskClient, uploaded: Callable[[dict[str, list[int]]], str]
) -> None:
    name = uploaded({"layers/2[only]/0": kernel, "layers/2[only]/1": [10]})
    layers = [
        {"class_name": "InputLayer", "config": {"shape": [64]}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
    ]
    raw = changed(VALID["tokens"], {"/model/config/layers": layers, "/initial_weights": {"dataset": name}})
    response = api.post("/api/v1/jobs?dry_run=true", json=raw)
    assert response.status_code == status, response.json
    found = [(fault["pointer"], fault["code"]) for fault in response.json.get("errors", [])]
    assert found == ([("/initial_weights/dataset", "conflict")] if status == 422 else [])
