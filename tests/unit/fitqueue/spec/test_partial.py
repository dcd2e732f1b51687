"""What is left of a faulty job for Keras to look at."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.spec import PartialJob, examine_job

Changed = Callable[[str, Any], dict[str, Any]]


def sound_parts_of(raw: Any) -> PartialJob:
    examined = examine_job(raw, lambda name: None)
    assert examined.spec is None
    assert examined.faults
    return examined.sound


def class_names(sound: PartialJob) -> list[str]:
    assert sound.model is not None
    return [layer["class_name"] for layer in sound.model.config["layers"]]


def test_of_a_right_job_everything(cnn: dict[str, Any]) -> None:
    examined = examine_job(cnn, lambda name: None)
    assert examined.spec is not None
    assert not examined.faults
    stored = examined.spec.to_json()
    sound = PartialJob.model_validate(stored).to_json()
    assert sound.pop("model_is_whole")
    compiled = sound.pop("compile")
    assert sound == {name: stored[name] for name in sound}
    assert compiled == {name: stored["compile"][name] for name in compiled}


@pytest.mark.parametrize("raw", [None, 3, "job", [], [{}]])
def test_of_what_is_no_job_nothing(raw: Any) -> None:
    assert sound_parts_of(raw) == PartialJob()


def test_of_too_many_faults_nothing(cnn: dict[str, Any], changed: Changed) -> None:
    callbacks = [{"class_name": "EarlyStopping", "config": {"patience": "3", "mode": "best"}}] * 60
    assert sound_parts_of(changed("/callbacks", callbacks)) == PartialJob()


def test_the_layers_before_the_first_faulty_one(changed: Changed) -> None:
    sound = sound_parts_of(changed("/model/config/layers/3/config/units", "ten"))
    assert class_names(sound) == ["InputLayer", "Conv2D", "Flatten"]
    assert not sound.model_is_whole


def test_no_layers_where_the_first_is_faulty(changed: Changed) -> None:
    assert sound_parts_of(changed("/model/config/layers/0/config/shape", "wide")).model is None


def test_no_layers_where_the_model_itself_is_faulty(changed: Changed) -> None:
    assert sound_parts_of(changed("/model/config/layrs", [])).model is None


def test_the_others_of_a_list(changed: Changed) -> None:
    sound = sound_parts_of(changed("/compile/metrics", ["accuracy", "acuracy", {"class_name": "AUC", "config": {}}]))
    assert isinstance(sound.compile.metrics, list)
    assert [metric is None for metric in sound.compile.metrics] == [False, True, False]
    assert sound.compile.named_metrics() is None
    assert sound.compile.whole_loss == "categorical_crossentropy"


def test_the_others_of_an_object(changed: Changed) -> None:
    sound = sound_parts_of(changed("/compile/loss", {"a": "mse", "b": "mzze"}))
    assert sound.compile.loss == {"a": "mse", "b": None}
    assert sound.compile.whole_loss is None


@pytest.mark.parametrize("field", ["data", "fit", "resources"])
def test_a_field_that_is_unknown_spoils_what_it_stands_in(field: str, changed: Changed) -> None:
    """It may have been meant for what is left at its default."""
    sound = sound_parts_of(changed(f"/{field}", {**changed("/name", "n").get(field, {}), "batchsize": 3}))
    assert getattr(sound, field) is None
    assert sound.model is not None
