"""Pointers into the stored job, led back into the job as it was sent."""

import json
from typing import Any

import pytest

from fitqueue.spec.request_pointers import request_pointer


def model(*class_names: str) -> dict[str, Any]:
    return {"model": {"class_name": "Sequential", "config": {"layers": [layer(name) for name in class_names]}}}


def layer(class_name: str) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"units": 1}}


@pytest.mark.parametrize(
    ("sent", "stored", "there", "here"),
    [
        (("Dense", "Dense"), ("Dense", "Dense"), 1, 1),
        (("Dense", "Dense"), ("InputLayer", "Dense", "Dense"), 1, 0),
        (("Dense", "Dense"), ("InputLayer", "Dense", "Dense"), 2, 1),
        (("Dense",), ("InputLayer", "Dense"), 0, 0),
        (("LSTM", "Dense"), ("InputLayer", "Permute", "LSTM", "Permute", "Dense"), 4, 1),
        (("LSTM", "Dense"), ("InputLayer", "Permute", "LSTM", "Permute", "Dense"), 2, 0),
    ],
)
def test_layers_that_were_put_in_are_counted_out(sent: Any, stored: Any, there: int, here: int) -> None:
    found = request_pointer(f"/model/config/layers/{there}/config/units", model(*sent), model(*stored))
    assert found == f"/model/config/layers/{here}/config/units"


def test_what_was_not_sent_is_told_by_what_is_around_it() -> None:
    sent = {"compile": {"optimizer": {"class_name": "Adam", "config": {"lr": 1}}}}
    stored = {"compile": {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 1}}}}
    assert request_pointer("/compile/optimizer/config/learning_rate", sent, stored) == "/compile/optimizer/config"


def test_a_name_in_place_of_an_object_is_the_end_of_the_way() -> None:
    stored = {"compile": {"optimizer": {"class_name": "Adam", "config": {}}}}
    assert (
        request_pointer("/compile/optimizer/config", {"compile": {"optimizer": "adam"}}, stored) == "/compile/optimizer"
    )


def test_a_model_in_a_string_is_looked_into() -> None:
    sent = {"model": json.dumps(model("Dense")["model"])}
    pointer = "/model/config/layers/1/config/units"
    assert request_pointer(pointer, sent, model("InputLayer", "Dense")) == "/model/config/layers/0/config/units"


def test_keys_with_slashes() -> None:
    assert request_pointer("/labels/a~1b~0", {"labels": {"a/b~": "x"}}, {"labels": {"a/b~": "x"}}) == "/labels/a~1b~0"
