"""Which jobs take equally long."""

from typing import Any

import pytest

from fitqueue.datasets import BUILTIN
from fitqueue.spec import JobSpec
from fitqueue.views import LayerView, MemoryEstimate, ModelSummary
from service.forecast.similar import may_end_early, nearest, timing_key, work

_MEMORY = MemoryEstimate(weights=0, gradients=0, optimizer=0, activations=0, total=0)


def _spec(**fields: Any) -> JobSpec:
    model = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 3}}]}}
    adam = {"class_name": "Adam", "config": {"learning_rate": 0.001}}
    compile = {"optimizer": adam, "loss": "mse"} | fields.pop("compile", {})
    data = {"dataset": "digits", "x": "x_train", "y": "y_train"} | fields.pop("data", {})
    return JobSpec.model_validate({"model": model, "compile": compile, "data": data} | fields)


def _summary(name: str = "dense", parameters: int = 650) -> ModelSummary:
    layer = LayerView(
        name=name, class_name="Dense", output_shapes=[[None, 3]], dtype="float32", parameters=parameters,
        trainable=True, inputs=[],
    )  # fmt: skip
    return ModelSummary(layers=[layer], parameters=parameters, trainable_parameters=parameters, memory=_MEMORY)


def _key(**fields: Any) -> str:
    return timing_key(_spec(**fields).to_json(), _summary(), "d")


SAME: list[dict[str, Any]] = [
    {"name": "other"},
    {"seed": 9},
    {"priority": 5},
    {"labels": {"a": "b"}},
    {"fit": {"epochs": 50}},
    {"compile": {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.5}}}},
    {"callbacks": [{"class_name": "EarlyStopping", "config": {"monitor": "loss"}}]},
]
OTHER: list[dict[str, Any]] = [
    {"fit": {"batch_size": 64}},
    {"fit": {"steps_per_epoch": 9}},
    {"fit": {"validation_split": 0.2}},
    {"compile": {"optimizer": {"class_name": "SGD", "config": {}}}},
    {"compile": {"loss": "mae"}},
    {"data": {"x": "x_test", "y": "y_test"}},
    {"resources": {"pool": "large"}},
    {"resources": {"gpus": 1}},
    {"deterministic": True},
]


@pytest.mark.parametrize("fields", SAME, ids=str)
def test_what_does_not_change_the_seconds_of_an_epoch_is_not_part_of_the_key(fields: dict[str, Any]) -> None:
    assert _key(**fields) == _key()


@pytest.mark.parametrize("fields", OTHER, ids=str)
def test_what_changes_the_seconds_of_an_epoch_is_part_of_the_key(fields: dict[str, Any]) -> None:
    assert _key(**fields) != _key()


def test_models_are_compared_by_their_layers_and_not_by_the_names_that_keras_counted() -> None:
    stored = _spec().to_json()
    assert timing_key(stored, _summary("dense_7"), "d") == _key()
    assert timing_key(stored, _summary(parameters=651), "d") != _key()
    assert timing_key(stored, None, "d") != _key()
    assert timing_key(stored, _summary(), "e") != _key()


def test_the_size_of_an_epoch_is_parameters_times_samples() -> None:
    digits = BUILTIN["digits"].info
    samples = digits.arrays["x_train"].shape[0]
    assert samples is not None
    assert work(_spec(), _summary(), digits) == 650 * samples
    assert work(_spec(fit={"validation_split": 0.5}), _summary(), digits) == 650 * (samples // 2)
    assert work(_spec(fit={"steps_per_epoch": 10, "batch_size": 8}), _summary(), None) == 650 * 80
    assert work(_spec(), None, digits) is None
    assert work(_spec(), _summary(), None) is None


@pytest.mark.parametrize(
    ("name", "config", "may_end"),
    [
        ("EarlyStopping", {"patience": 0, "start_from_epoch": 0}, True),
        ("EarlyStopping", {"patience": 9, "start_from_epoch": 0}, True),
        ("EarlyStopping", {"patience": 10, "start_from_epoch": 0}, False),
        ("EarlyStopping", {"patience": 4, "start_from_epoch": 6}, False),
        ("TerminateOnNaN", {}, False),
    ],
)
def test_early_stopping_may_end_a_training_unless_its_patience_is_longer(
    name: str, config: dict[str, Any], may_end: bool
) -> None:
    callbacks = [{"class_name": name, "config": {"monitor": "loss", **config} if config else {}}]
    assert may_end_early(_spec(callbacks=callbacks, fit={"epochs": 10}).to_json()) == may_end


def test_the_nearest_size_is_by_ratio_and_not_too_far_away() -> None:
    assert nearest(100.0, [300.0, 40.0, 1.0]) == 1
    assert nearest(100.0, [401.0, 24.0]) is None
    assert nearest(100.0, []) is None
