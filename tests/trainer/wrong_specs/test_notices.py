"""Valid jobs that may not train as their users expect: the response to the POST has notices."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.trainer.wrong_specs.test_wrong_specs import VALID, changed

ACCUMULATED = {"class_name": "Adam", "config": {"gradient_accumulation_steps": 2}}
DECAYED = {"class_name": "AdamW", "config": {"gradient_accumulation_steps": 2}}
OVERWRITTEN = {"class_name": "Adam", "config": {"use_ema": True, "ema_overwrite_frequency": 3}}
SCALED = {"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": ACCUMULATED}}
TWO, MIRRORED = {"gpus": 2}, {"strategy": "mirrored"}
REGULARIZED = [
    {"class_name": "BatchNormalization", "config": {"synchronized": True}},
    {"class_name": "Dense", "config": {"units": 16, "activity_regularizer": "l2"}},
]
TWO_THRESHOLDS = {"class_name": "Precision", "config": {"thresholds": [0.25, 0.5]}}
CLASS_SCORES = {"class_name": "R2Score", "config": {"class_aggregation": None}}
NORMALIZATION = {"class_name": "Normalization", "config": {"mean": None, "variance": None}}
LOOKUP = {"class_name": "IntegerLookup", "config": {"output_mode": "multi_hot"}}
BINS = {"class_name": "Discretization", "config": {"num_bins": 4, "output_mode": "multi_hot"}}

CASES: dict[str, tuple[str, dict[str, Any], set[tuple[str, str]]]] = {
    "accumulated gradients": (
        "cnn", {"/resources": TWO, "/compile/optimizer": ACCUMULATED},
        {("/compile/optimizer/config/gradient_accumulation_steps", "suspicious")}),
    "accumulated gradients, with decay": (
        "cnn", {"/resources": TWO, "/compile/optimizer": DECAYED},
        {("/compile/optimizer/config/gradient_accumulation_steps", "suspicious")}),
    "accumulated gradients inside another optimizer": (
        "cnn", {"/resources": TWO, "/compile/optimizer": SCALED},
        {("/compile/optimizer/config/inner_optimizer/config/gradient_accumulation_steps", "suspicious")}),
    "weights overwritten by their moving average": (
        "cnn", {"/resources": MIRRORED, "/compile/optimizer": OVERWRITTEN},
        {("/compile/optimizer/config/ema_overwrite_frequency", "suspicious")}),
    "a stateful layer": (
        "lstm",
        {"/resources": TWO, "/model/config/layers/1/config/stateful": True, "/fit/batch_size": 3,
         "/data/validation": None,
         "/model/config/layers/0": {"class_name": "InputLayer", "config": {"batch_shape": [3, 8, 8]}}},
        {("/model/config/layers/1/config/stateful", "suspicious")}),
    "a synchronized BatchNormalization beside an activity regularizer": (
        "cnn", {"/resources": TWO, "/model/config/layers/2": REGULARIZED[0], "/model/config/layers/4": REGULARIZED[1]},
        {("/model/config/layers/2/config/synchronized", "suspicious")}),
    "options that Keras does not support on several devices": (
        "cnn", {"/resources": TWO, "/compile/jit_compile": True, "/compile/steps_per_execution": 4},
        {("/compile/jit_compile", "ignored"), ("/compile/steps_per_execution", "ignored")}),
    "options that Keras supports on one device": (
        "cnn", {"/resources": MIRRORED, "/compile/jit_compile": True, "/compile/steps_per_execution": 4}, set()),
    "no epoch is validated": (
        "cnn", {"/callbacks": [], "/fit/validation_freq": 5}, {("/fit/validation_freq", "suspicious")}),
    "no validation data": (
        "inputs", {"/fit/validation_batch_size": 5, "/fit/validation_steps": 5},
        {("/fit/validation_batch_size", "ignored"), ("/fit/validation_steps", "ignored")}),
    "a metric with a value for each class": (
        "cnn", {"/compile/metrics": ["accuracy", "f1_score"], "/compile/weighted_metrics": [TWO_THRESHOLDS]},
        {("/compile/metrics/1", "several_values"), ("/compile/weighted_metrics/0", "several_values")}),
    "a metric with a value for each class of an output": (
        "outputs", {"/compile/metrics/b": [CLASS_SCORES], "/compile/loss": "categorical_crossentropy",
                    "/data/prepare/y": [{"one_hot": 10}]},
        {("/compile/metrics/b/0", "several_values")}),
    "a layer that learns": (
        "cnn", {"/model/config/layers/1": NORMALIZATION}, {("/model/config/layers/1/config", "filled_in")}),
    "layers that learn, and whose shapes depend on it": (
        "tokens",
        {"/model/config/layers/1": LOOKUP, "/model/config/layers/2": BINS},
        {("/model/config/layers/1/config", "filled_in"), ("/model/config/layers/2/config", "filled_in")}),
    "fractions into an input of whole numbers": (
        "tokens",
        {"/model/config/layers/1": {"class_name": "Dense", "config": {"units": 3}},
         "/data/prepare/x": [{"reshape": [64]}, {"scale": 0.0625}]},
        {("/data/x", "suspicious")}),
    "fractions into an Embedding": (
        "tokens", {"/data/prepare/x": [{"reshape": [64]}, {"scale": 0.0625}]},
        {("/model/config/layers/1/config/input_dim", "suspicious")}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_response_has_the_notices(case: tuple[str, dict[str, Any], set[tuple[str, str]]], api: FlaskClient) -> None:
    base, changes, expected = case
    response = api.post("/api/v1/jobs?dry_run=true", json=changed(VALID[base], changes))
    assert response.status_code == 200, response.json
    notices = {(pointer, each["code"]) for each in response.json["notices"] for pointer in each["pointers"]}
    assert notices == expected, response.json["notices"]


def test_the_same_notice_of_several_layers_is_one(api: FlaskClient) -> None:
    normalized = [{"class_name": "BatchNormalization", "config": {"axis": [3], "fused": True}}] * 3
    changes = {"/model/config/layers": [{"class_name": "Input", "config": {"shape": [8, 8, 1]}}, *normalized,
                                        *VALID["cnn"]["model"]["config"]["layers"][-3:]]}  # fmt: skip
    response = api.post("/api/v1/jobs?dry_run=true", json=changed(VALID["cnn"], changes))
    assert response.status_code == 200, response.json
    notices = {notice["message"]: notice for notice in response.json["notices"]}
    assert len(notices) == len(response.json["notices"])
    axes = notices["[3] is read as 3."]
    assert axes["pointers"] == [f"/model/config/layers/{i}/config/axis" for i in (1, 2, 3)]
    assert axes["pointer"] == axes["pointers"][0]


def test_the_names_of_an_architecture_come_from_keras(api: FlaskClient) -> None:
    changes = {
        "/model": {
            "class_name": "MobileNet", "config": {"weights": None, "classes": 10, "input_shape": [32, 32, 3]}},
        "/data": {"dataset": "cifar10", "x": "x_train", "y": {"predictions": "y_train"}},
        "/compile": {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"},
        "/callbacks": [],
    }  # fmt: skip
    valid = changed(VALID["cnn"], changes)
    assert api.post("/api/v1/jobs?dry_run=true", json=valid).status_code == 200
    invalid = changed(valid, {"/data/y": {"prediction": "y_train"}, "/compile/loss": {"out": "mse"}})
    response = api.post("/api/v1/jobs?dry_run=true", json=invalid)
    assert {(fault["pointer"], fault["code"]) for fault in response.json["errors"]} == {
        ("/data/y/prediction", "unknown_name"), ("/data/y", "missing"),
        ("/compile/loss/out", "unknown_name"), ("/compile/loss", "missing"),
    }, response.json["errors"]  # fmt: skip


def test_the_notice_of_a_metric_names_what_is_logged(api: FlaskClient) -> None:
    changes = {"/compile/metrics": {"a": ["accuracy"], "b": ["f1_score"]}, "/compile/loss": "categorical_crossentropy",
               "/data/prepare/y": [{"one_hot": 10}]}  # fmt: skip
    response = api.post("/api/v1/jobs?dry_run=true", json=changed(VALID["outputs"], changes))
    [notice] = response.json["notices"]
    assert notice["message"].startswith("It gives 10 values. Each is logged, from b_f1_score/0 to b_f1_score/9, and")
    assert "their mean as b_f1_score," in notice["message"]


def test_a_layer_that_learns_from_layers_with_weights_is_refused(api: FlaskClient) -> None:
    job = changed(VALID["cnn"], {"/model/config/layers/2": NORMALIZATION})
    [fault] = api.post("/api/v1/jobs?dry_run=true", json=job).json["errors"]
    assert (fault["pointer"], fault["code"]) == ("/model/config/layers/2", "invalid_model")
    assert "behind the layer 'conv2d'" in fault["message"]
