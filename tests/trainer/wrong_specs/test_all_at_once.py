"""What is wrong in several places of a job is said in one answer, whoever finds it: the parse, Keras, the database."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.trainer.wrong_specs.test_wrong_specs import SOUND, changed

LSTM = {"class_name": "LSTM", "config": {"units": 3}}
MISSPELT = {"class_name": "Dense", "config": {"unitz": 3}}

CASES: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "a callback and a layer that does not fit": (
        {"/callbacks": [{"class_name": "EarlyStoping", "config": {}}], "/model/config/layers/1": LSTM},
        {("/callbacks/0/class_name", "unknown_class"), ("/model/config/layers/1", "invalid_model")},
    ),
    "a field, the loss and the optimizer": (
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
    "layers before and at the first misspelt one": (
        {"/model/config/layers/1": LSTM, "/model/config/layers/4": MISSPELT},
        {
            ("/model/config/layers/1", "invalid_model"),
            ("/model/config/layers/4/config/unitz", "unknown_field"),
            ("/model/config/layers/4/config", "missing"),
        },
    ),
    "a misspelt layer and data of another shape": (
        {"/model/config/layers/4": MISSPELT, "/model/config/layers/0": {"class_name": "Input", "config": {"shape": 9}}},
        {
            ("/model/config/layers/0", "bad_shape"),
            ("/model/config/layers/1", "invalid_model"),
            ("/model/config/layers/4/config/unitz", "unknown_field"),
            ("/model/config/layers/4/config", "missing"),
        },
    ),
    "the model is built, though its data is of another shape": (
        {"/model/config/layers/0": {"class_name": "Input", "config": {"shape": [9, 9, 1]}}, "/compile/loss": "hinges"},
        {("/model/config/layers/0", "bad_shape"), ("/compile/loss", "unknown_name")},
    ),
    "one metric is unknown and another refused by Keras": (
        {
            "/compile/metrics": [
                "acuracy",
                {"class_name": "IoU", "config": {"num_classes": 2, "target_class_ids": [5]}},
            ]
        },
        {("/compile/metrics/0", "unknown_name"), ("/compile/metrics/1", "refused_by_keras")},
    ),
    "no such data set, and a layer that does not fit": (
        {"/data/dataset": "no_such_set", "/model/config/layers/1": LSTM},
        {("/data/dataset", "unknown_dataset"), ("/model/config/layers/1", "invalid_model")},
    ),
    "no such job to go on from, and a misspelt field": (
        {"/initial_weights": {"job": "j_none"}, "/fit/batchsize": 3},
        {("/initial_weights/job", "unknown_job"), ("/fit/batchsize", "unknown_field")},
    ),
    "labels that the model has no units for, and a callback": (
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
def test_one_answer_names_them_all(case: tuple[dict[str, Any], set[tuple[str, str]]], api: FlaskClient) -> None:
    changes, expected = case
    answer = api.post("/api/v1/jobs", json=changed(SOUND["cnn"], changes))
    assert answer.status_code == 422, answer.json
    assert {(fault["pointer"], fault["code"]) for fault in answer.json["errors"]} == expected, answer.json["errors"]
    assert len(answer.json["errors"]) == len(expected)
