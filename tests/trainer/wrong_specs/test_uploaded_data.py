"""Jobs on uploaded data whose values or shapes are wrong: the response to the POST says so, with the whole check."""

import io
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.trainer.wrong_specs.test_wrong_specs import changed

SAMPLES = 64
WITH_SIGMOID = {"/compile/loss": "binary_crossentropy", "/model/config/layers/1/config/activation": "sigmoid"}
THREE_OUTPUTS = {"units": 3, "activation": "softmax"}
SORTED = {
    "/compile/loss": "sparse_categorical_crossentropy", "/model/config/layers/1/config": THREE_OUTPUTS,
    "/data/y": "y_sorted", "/fit/validation_split": 0.3,
}  # fmt: skip
SEVERAL = {
    "/compile/loss": "categorical_crossentropy", "/model/config/layers/1/config": THREE_OUTPUTS, "/data/y": "y_several"
}  # fmt: skip


@pytest.fixture(scope="module")
def job(api: FlaskClient) -> dict[str, Any]:
    """A valid job on an uploaded data set."""
    random = np.random.default_rng(0)
    x = random.normal(size=(SAMPLES, 4)).astype("f4")
    with_nan = x.copy()
    with_nan[5, 2] = np.nan
    labels = np.arange(SAMPLES) // 22
    file = io.BytesIO()
    np.savez(
        file, x=x, y=x[:, 0], x_nan=with_nan, y_sign=np.where(x[:, 0] > 0, 1, -1), y_sorted=labels,
        y_several=(np.arange(3) <= labels[:, None]).astype("f4"),
        w_nan=np.where(np.arange(SAMPLES) == 3, np.nan, 1), w_negative=-random.random(SAMPLES),
        x_narrow=np.zeros((SAMPLES, 0), "f4"), x_none=np.zeros((0, 4), "f4"), y_none=np.zeros(0, "f4"),
        images=random.integers(0, 256, (SAMPLES, 4), dtype="u1"),
    )  # fmt: skip
    uploaded = api.post("/api/v1/datasets?name=mine", data=file.getvalue())
    assert uploaded.status_code == 201, uploaded.json
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}},
        {"class_name": "Dense", "config": {"units": 1}},
    ]
    return {
        "model": {"class_name": "Sequential", "config": {"name": "m", "layers": layers}},
        "compile": {"optimizer": "adam", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "fit": {"epochs": 1},
        "seed": 1,
    }


@pytest.mark.parametrize("changes", [{}, {"/data/shuffle_split": True, **SORTED}], ids=["plain", "shuffled split"])
def test_a_sound_job_gets_no_notice(changes: dict[str, Any], job: dict[str, Any], api: FlaskClient) -> None:
    response = api.post("/api/v1/jobs?dry_run=true", json=changed(job, changes))
    assert response.status_code == 200, response.json
    assert response.json["notices"] == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"/data/x": "x_nan"}, "The array 'x_nan' has NaN in 1 of 256 values"),
        ({"/data/sample_weight": "w_nan"}, "The array 'w_nan' has NaN in 1 of 64 values"),
    ],
)
def test_values_that_are_not_finite_get_a_notice(
    changes: dict[str, Any], text: str, job: dict[str, Any], api: FlaskClient
) -> None:
    response = api.post("/api/v1/jobs?dry_run=true", json=changed(job, changes))
    assert response.status_code == 200, response.json
    [notice] = response.json["notices"]
    assert (notice["pointer"], notice["code"]) == (next(iter(changes)), "non_finite")
    assert text in notice["message"]


@pytest.mark.parametrize(
    ("changes", "pointer", "text"),
    [
        ({"/data/sample_weight": "w_negative"}, "/data/sample_weight", "With a negative weight"),
        ({"/data/y": "y_sign", **WITH_SIGMOID}, "/compile/loss", "but the labels go from -1 to 1"),
        (SORTED, "/fit/validation_split", "the class 2 (20 samples)"),
        (SEVERAL, "/compile/loss", "A sample has up to 3 labels"),
        ({"/data/x": "images"}, "/data/x", "The pixels go from 0 to 255"),
    ],
)
def test_values_get_a_notice(
    changes: dict[str, Any], pointer: str, text: str, job: dict[str, Any], api: FlaskClient
) -> None:
    response = api.post("/api/v1/jobs?dry_run=true", json=changed(job, changes))
    assert response.status_code == 200, response.json
    [notice] = response.json["notices"]
    assert (notice["pointer"], notice["code"]) == (pointer, "suspicious")
    assert text in notice["message"]


WITHOUT_INPUT = {"/model/config/layers": [{"class_name": "Dense", "config": {"units": 1}}]}


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"/data/x": "x_narrow", **WITHOUT_INPUT}, ["/data/x"]),
        ({"/data/x": "x_none", "/data/y": "y_none"}, ["/data/x", "/data/y"]),
        ({"/data/validation": {"x": "x_none", "y": "y_none"}}, ["/data/validation/x", "/data/validation/y"]),
    ],
)
def test_what_holds_no_values_is_refused(
    changes: dict[str, Any], pointers: list[str], job: dict[str, Any], api: FlaskClient
) -> None:
    response = api.post("/api/v1/jobs", json=changed(job, changes))
    assert response.status_code == 422, response.json
    faults = [(fault["pointer"], fault["code"]) for fault in response.json["errors"]]
    assert [fault for fault in faults if fault[0] in pointers] == [(pointer, "bad_shape") for pointer in pointers]
