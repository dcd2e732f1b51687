"""All faults of a job are in one response, whether the parser, Keras or the database finds them."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.trainer.wrong_specs.test_wrong_specs import VALID, changed

LSTM = {"class_name": "LSTM", "config": {"units": 3}}
MISSPELT = {"class_name": "Dense", "config": {"unitz": 3}}

CASES: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "a misspelt callback, and a layer that does not match": (
        {"/callbacks": [{"class_name": "EarlyStoping", "config": {}}], "/model/config/layers/1": LSTM},
        {("/callbacks/0/class_name", "unknown_class"), ("/model/config/layers/1", "invalid_model")},
    ),
    "an unknown field, a wrong loss and a wrong optimizer": (
        {
            "/fit/epoch": 3,
            "/compile/loss": "sparse_categorical_crossentropy",
            "/compile/optimizer": {"class_name": "Adam", "config": {"learning_rate": "fast"}},
        },
        {
            ("/fit/epoch", "unknown_field"),
            ("/compile/loss", "bad_targets"),
            ("/compile/optimizer/config/learning_rate", "wrong_type"),
        },
    ),
    "a layer that does not match, before a layer with a misspelt argument": (
        {"/model/config/layers/1": LSTM, "/model/config/layers/4": MISSPELT},
        {
            ("/model/config/layers/1", "invalid_model"),
            ("/model/config/layers/4/config/unitz", "unknown_field"),
            ("/model/config/layers/4/config", "missing"),
        },
    ),
    "a layer with a misspelt argument, and data of another shape": (
        {"/model/config/layers/4": MISSPELT, "/model/config/layers/0": {"class_name": "Input", "config": {"shape": 9}}},
        {
            ("/model/config/layers/0", "bad_shape"),
            ("/model/config/layers/1", "invalid_model"),
            ("/model/config/layers/4/config/unitz", "unknown_field"),
            ("/model/config/layers/4/config", "missing"),
        },
    ),
    "data of another shape than a model that can be built, and an unknown loss": (
        {"/model/config/layers/0": {"class_name": "Input", "config": {"shape": [9, 9, 1]}}, "/compile/loss": "hinges"},
        {("/model/config/layers/0", "bad_shape"), ("/compile/loss", "unknown_name")},
    ),
    "an unknown metric, and one that Keras refuses": (
        {
            "/compile/metrics": [
                "acuracy",
                {"class_name": "IoU", "config": {"num_classes": 2, "target_class_ids": [5]}},
            ]
        },
        {("/compile/metrics/0", "unknown_name"), ("/compile/metrics/1", "refused_by_keras")},
    ),
    "an unknown data set, and a layer that does not match": (
        {"/data/dataset": "no_such_set", "/model/config/layers/1": LSTM},
        {("/data/dataset", "unknown_dataset"), ("/model/config/layers/1", "invalid_model")},
    ),
    "an unknown job for the initial weights, and a misspelt field": (
        {"/initial_weights": {"job": "j_none"}, "/fit/batchsize": 3},
        {("/initial_weights/job", "unknown_job"), ("/fit/batchsize", "unknown_field")},
    ),
    "labels that the model has no units for, and a wrong argument of a callback": (
        {
            "/data/prepare/y": [],
            "/compile/loss": "sparse_categorical_crossentropy",
            "/compile/metrics": [],
            "/model/config/layers/5/config/units": 7,
            "/callbacks": [{"class_name": "EarlyStopping", "config": {"patience": "3"}}],
        },
        {
            ("/model/config/layers/5/config/units", "bad_targets"),
            ("/callbacks/0/config/patience", "wrong_type"),
        },
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_response_has_all_faults(case: tuple[dict[str, Any], set[tuple[str, str]]], api: FlaskClient) -> None:
    changes, expected = case
    response = api.post("/api/v1/jobs", json=changed(VALID["cnn"], changes))
    assert response.status_code == 422, response.json
    assert {(fault["pointer"], fault["code"]) for fault in response.json["errors"]} == expected, response.json["errors"]
    assert len(response.json["errors"]) == len(expected)
