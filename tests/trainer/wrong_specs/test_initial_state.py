"""The optimizer and the states that a job starts with are compared with its own before it is queued."""

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

Arrays = dict[str, tuple[list[int], str]]

LAYERS = [
    {"class_name": "InputLayer", "config": {"shape": [64]}},
    {"class_name": "Dropout", "config": {"rate": 0.5}},
    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
]
WEIGHTS: Arrays = {"layers/dense/vars/0": ([64, 10], "float32"), "layers/dense/vars/1": ([10], "float32")}
ADAM: Arrays = {
    "optimizer[adam_3]/vars/0": ([], "int64"),
    "optimizer[adam_3]/vars/1": ([], "float32"),
    "optimizer[adam_3]/vars/2": ([64, 10], "float32"),
    "optimizer[adam_3]/vars/3": ([64, 10], "float32"),
    "optimizer[adam_3]/vars/4": ([10], "float32"),
    "optimizer[adam_3]/vars/5": ([10], "float32"),
}
STATES: Arrays = {"states/vars/0": ([2], "uint32")}
WHOLE: Arrays = {**WEIGHTS, **ADAM, **STATES}


@pytest.fixture
def database(api: FlaskClient) -> Database:
    database: Database = api.application.extensions[EXTENSION].database
    return database


@pytest.fixture
def upload(database: Database) -> Iterator[Callable[[Arrays], None]]:
    """Return a function that makes the data set `weights`."""

    def upload(arrays: Arrays) -> None:
        infos = {name: ArrayInfo(tuple(shape), dtype) for name, (shape, dtype) in arrays.items()}
        with database.write() as session:
            datasets.create(session, "ds_weights", "weights", "1" * 64, 10, infos)

    yield upload
    with database.write() as session:
        datasets.delete(session, "weights")


def faults(api: FlaskClient, initial: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    replaced = {"/model/config/layers": LAYERS, "/initial_weights": initial}
    raw = changed(VALID["tokens"], replaced | {f"/{path.replace('__', '/')}": value for path, value in changes.items()})
    response = api.post("/api/v1/jobs?dry_run=true", json=raw)
    assert response.status_code in (200, 422), response.json
    found: list[dict[str, Any]] = response.json.get("errors", [])
    return found


def without(arrays: Arrays, *names: str) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in names}


@pytest.mark.parametrize("options", [{}, {"optimizer": True}, {"states": True}, {"optimizer": True, "states": True}])
def test_what_matches_is_accepted(options: dict[str, Any], api: FlaskClient, upload: Callable[[Arrays], None]) -> None:
    upload(WHOLE)
    assert faults(api, {"dataset": "weights", **options}) == []


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        (WEIGHTS, {"optimizer": True}, "come without the variables of an optimizer"),
        (WEIGHTS, {"states": True}, "0 variables are stored in the states of random generators"),
        (
            without(WHOLE, "optimizer[adam_3]/vars/5"),
            {"optimizer": True},
            "5 variables are stored of the optimizer 'adam'",
        ),
        (WHOLE | {"optimizer[adam_3]/vars/4": ([11], "float32")}, {"optimizer": True}, "has the shape [10]"),
        (WHOLE | {"optimizer[adam_3]/vars/0": ([], "float32")}, {"optimizer": True}, "is of int64, and the stored one"),
        (WHOLE | {"states/vars/0": ([2], "float32")}, {"states": True}, "and the stored one of float32"),
        (WHOLE | {"states/vars/1": ([2], "uint32")}, {"states": True}, "2 variables are stored in the states"),
        (WHOLE | {"layers/dense/vars/1": ([10], "int32")}, {}, "the layer 'dense' are of int32"),
        (WHOLE | {"layers/dense/vars/1": ([11], "float32")}, {}, "those of the layer 'dense' have the shapes"),
        (without(WHOLE, "layers/dense/vars/1"), {}, "those of the layer 'dense' have the shapes [[64, 10]]"),
        (
            WHOLE | {"layers/dense_1/vars/0": ([3], "float32")},
            {"states": True},
            "that this model does not have: 'dense_1'",
        ),
    ],
)
def test_what_does_not_match_is_a_fault(
    arrays: Arrays, options: dict[str, Any], words: str, api: FlaskClient, upload: Callable[[Arrays], None]
) -> None:
    upload(arrays)
    [fault] = faults(api, {"dataset": "weights", **options})
    assert (fault["pointer"], fault["code"]) == ("/initial_weights/dataset", "conflict")
    assert words in fault["message"], fault


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ("sgd", "those of the optimizer 'adam', and this job has 'sgd'"),
        ({"class_name": "Adam", "config": {"amsgrad": True}}, "6 variables are stored of the optimizer 'adam'"),
    ],
)
def test_another_optimizer_is_a_fault(
    optimizer: Any, words: str, api: FlaskClient, upload: Callable[[Arrays], None]
) -> None:
    upload(WHOLE)
    [fault] = faults(api, {"dataset": "weights", "optimizer": True}, compile__optimizer=optimizer)
    assert words in fault["message"], fault
    assert faults(api, {"dataset": "weights"}, compile__optimizer=optimizer) == []


def test_the_names_of_keras_and_of_the_service_are_the_same(api: FlaskClient, upload: Callable[[Arrays], None]) -> None:
    shapes = [([], "int64"), ([], "float32"), ([64, 10], "float32"), ([10], "float32")]
    upload(WEIGHTS | {f"optimizer[rmsprop]/vars/{index}": array for index, array in enumerate(shapes)})
    assert faults(api, {"dataset": "weights", "optimizer": True}, compile__optimizer="rmsprop") == []


def test_a_loss_scale_is_part_of_the_optimizer(api: FlaskClient, upload: Callable[[Arrays], None]) -> None:
    upload(WHOLE)
    [fault] = faults(api, {"dataset": "weights", "optimizer": True}, compile__dtype_policy="mixed_float16")
    assert "this job has 'loss_scale_optimizer'" in fault["message"]


def test_a_recurrent_state_may_come_along(api: FlaskClient, upload: Callable[[Arrays], None]) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [3, 64]}},
        {"class_name": "Reshape", "config": {"target_shape": [8, 8]}},
        {"class_name": "LSTM", "config": {"units": 4, "stateful": True}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
    ]
    upload({
        "layers/lstm/cell/vars/0": ([8, 16], "float32"),
        "layers/lstm/cell/vars/1": ([4, 16], "float32"),
        "layers/lstm/cell/vars/2": ([16], "float32"),
        "layers/dense/vars/0": ([4, 10], "float32"),
        "layers/dense/vars/1": ([10], "float32"),
        "states/vars/0": ([2], "uint32"),
        "states/vars/1": ([3, 4], "float32"),
        "states/vars/2": ([3, 4], "float32"),
    })  # fmt: skip
    changes = {"model__config__layers": layers, "fit__batch_size": 3}
    assert faults(api, {"dataset": "weights", "states": True}, **changes) == []


@pytest.fixture
def trained(database: Database) -> Iterator[str]:
    """The id of a job that has saved its optimizer, which is deleted after the test."""
    with database.write() as session:
        spec = parse_job(changed(VALID["tokens"], {"/model/config/layers": LAYERS}), lambda name: None).spec
        job = jobs.create(session, spec, [])
        session.flush()
        session.add(
            Checkpoint(
                job_id=job.id, name="last_with_optimizer", storage_key="none", format="weights.h5", epoch=1, metrics={},
                size=1, sha256="0" * 64, has_optimizer=True, attempt=1, created_at=clock.now(session),
            )
        )  # fmt: skip
        job_id = job.id
    yield job_id
    with database.write() as session:
        session.delete(jobs.get(session, job_id))


def test_a_job_goes_on_only_with_the_same_optimizer(api: FlaskClient, trained: str) -> None:
    initial = {"job": trained, "checkpoint": "last", "optimizer": True, "states": True}
    assert faults(api, initial) == []
    [fault] = faults(api, initial, compile__optimizer="sgd")
    assert (fault["pointer"], fault["code"]) == ("/initial_weights/job", "conflict")
    assert "those of the optimizer 'adam', and this job has 'sgd'" in fault["message"]
