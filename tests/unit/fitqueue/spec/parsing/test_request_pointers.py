"""Pointers into a stored job are mapped to pointers into the job as it was sent."""

import json
from typing import Any

import pytest

from fitqueue.spec.parsing.request_pointers import request_pointer


def model(*class_names: str) -> dict[str, Any]:
    return {"model": {"class_name": "Sequential", "config": {"layers": [layer(name) for name in class_names]}}}


def layer(class_name: str) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"units": 1}}


@pytest.mark.parametrize(
    ("sent", "stored", "stored_index", "sent_index"),
    [
        (("Dense", "Dense"), ("Dense", "Dense"), 1, 1),
        (("Dense", "Dense"), ("InputLayer", "Dense", "Dense"), 1, 0),
        (("Dense", "Dense"), ("InputLayer", "Dense", "Dense"), 2, 1),
        (("Dense",), ("InputLayer", "Dense"), 0, 0),
        (("LSTM", "Dense"), ("InputLayer", "Permute", "LSTM", "Permute", "Dense"), 4, 1),
        (("LSTM", "Dense"), ("InputLayer", "Permute", "LSTM", "Permute", "Dense"), 2, 0),
    ],
)
def test_inserted_layers_are_not_counted(sent: Any, stored: Any, stored_index: int, sent_index: int) -> None:
    pointer = request_pointer(f"/model/config/layers/{stored_index}/config/units", model(*sent), model(*stored))
    assert pointer == f"/model/config/layers/{sent_index}/config/units"


def test_a_value_that_was_not_sent_maps_to_its_nearest_parent() -> None:
    sent = {"compile": {"optimizer": {"class_name": "Adam", "config": {"lr": 1}}}}
    stored = {"compile": {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 1}}}}
    assert request_pointer("/compile/optimizer/config/learning_rate", sent, stored) == "/compile/optimizer/config"


def test_a_pointer_ends_at_a_name_in_place_of_an_object() -> None:
    stored = {"compile": {"optimizer": {"class_name": "Adam", "config": {}}}}
    assert (
        request_pointer("/compile/optimizer/config", {"compile": {"optimizer": "adam"}}, stored) == "/compile/optimizer"
    )


def test_a_model_sent_as_a_string_is_parsed() -> None:
    sent = {"model": json.dumps(model("Dense")["model"])}
    pointer = "/model/config/layers/1/config/units"
    assert request_pointer(pointer, sent, model("InputLayer", "Dense")) == "/model/config/layers/0/config/units"


def test_keys_with_slashes_and_tildes() -> None:
    assert request_pointer("/labels/a~1b~0", {"labels": {"a/b~": "x"}}, {"labels": {"a/b~": "x"}}) == "/labels/a~1b~0"


def test_layers_sent_as_the_config_itself() -> None:
    sent = {"model": {"class_name": "Sequential", "config": [layer("Dense"), layer("Dense")]}}
    pointer = request_pointer("/model/config/layers/2/config/units", sent, model("InputLayer", "Dense", "Dense"))
    assert pointer == "/model/config/1/config/units"
    assert request_pointer("/model/config/layers", sent, model("Dense", "Dense")) == "/model/config"
