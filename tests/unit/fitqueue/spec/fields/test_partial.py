"""The valid parts of a job with faults, which Keras checks as well."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.spec import PartialJob, examine_job

Changed = Callable[[str, Any], dict[str, Any]]


def partial_of(raw: Any) -> PartialJob:
    examined = examine_job(raw, lambda name: None)
    assert examined.spec is None
    assert examined.faults
    return examined.partial


def class_names(partial: PartialJob) -> list[str]:
    assert partial.model is not None
    return [layer["class_name"] for layer in partial.model.config["layers"]]


def test_a_valid_job_is_complete(cnn: dict[str, Any]) -> None:
    examined = examine_job(cnn, lambda name: None)
    assert examined.spec is not None
    assert not examined.faults
    stored = examined.spec.to_json()
    partial = PartialJob.model_validate(stored).to_json()
    assert partial.pop("model_is_complete")
    compiled = partial.pop("compile")
    assert compiled.pop("loss_is_complete")
    assert partial == {name: stored[name] for name in partial}
    assert compiled == {name: stored["compile"][name] for name in compiled}


@pytest.mark.parametrize("raw", [None, 3, "job", [], [{}]])
def test_nothing_of_what_is_not_a_job_is_valid(raw: Any) -> None:
    assert partial_of(raw) == PartialJob()


def test_a_job_with_too_many_faults_is_left_empty(cnn: dict[str, Any], changed: Changed) -> None:
    callbacks = [{"class_name": "EarlyStopping", "config": {"patience": "3", "mode": "best"}}] * 60
    assert partial_of(changed("/callbacks", callbacks)) == PartialJob()


def test_the_layers_before_the_first_faulty_one_are_kept(changed: Changed) -> None:
    partial = partial_of(changed("/model/config/layers/3/config/units", "ten"))
    assert class_names(partial) == ["InputLayer", "Conv2D", "Flatten"]
    assert not partial.model_is_complete


def test_no_layers_are_kept_if_the_first_is_faulty(changed: Changed) -> None:
    assert partial_of(changed("/model/config/layers/0/config/shape", "wide")).model is None


def test_no_layers_are_kept_if_the_model_itself_is_faulty(changed: Changed) -> None:
    assert partial_of(changed("/model/config/layrs", [])).model is None


def test_the_valid_items_of_a_list_are_kept(changed: Changed) -> None:
    partial = partial_of(changed("/compile/metrics", ["accuracy", "acuracy", {"class_name": "AUC", "config": {}}]))
    assert isinstance(partial.compile.metrics, list)
    assert [metric is None for metric in partial.compile.metrics] == [False, True, False]
    assert partial.compile.named_metrics() is None
    assert partial.compile.complete_loss == "categorical_crossentropy"


def test_the_valid_members_of_an_object_are_kept(changed: Changed) -> None:
    partial = partial_of(changed("/compile/loss", {"a": "mse", "b": "mzze"}))
    assert partial.compile.loss == {"a": "mse", "b": None}
    assert partial.compile.complete_loss is None


@pytest.mark.parametrize("field", ["data", "fit", "resources"])
def test_an_unknown_field_makes_its_object_faulty(field: str, changed: Changed) -> None:
    """It may have been meant for one of the fields that have defaults."""
    partial = partial_of(changed(f"/{field}", {**changed("/name", "n").get(field, {}), "batchsize": 3}))
    assert getattr(partial, field) is None
    assert partial.model is not None
