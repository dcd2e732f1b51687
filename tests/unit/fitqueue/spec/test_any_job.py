"""Whatever comes, a job is either taken whole or refused with faults: nothing else is ever raised."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitqueue.errors import InvalidSpec
from fitqueue.spec import logged_names, parse_job, read_job

CNN = json.loads((Path(__file__).parents[4] / "examples" / "mnist_cnn.json").read_text())
FUNCTIONAL = json.loads(
    """{"class_name": "Functional", "config": {"name": "f", "trainable": true,
    "layers": [
      {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null, 28, 28], "name": "i"},
       "registered_name": null, "name": "i", "inbound_nodes": []},
      {"class_name": "LSTM", "config": {"units": 3, "name": "l", "return_state": true}, "name": "l", "inbound_nodes": [
        {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["i", 0, 0]}}],
         "kwargs": {"mask": null}}]},
      {"class_name": "Bidirectional", "config": {"layer": {"class_name": "GRU", "config": {"units": 2}}, "name": "b"},
       "inbound_nodes": [
        {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["i", 0, 0]}}], "kwargs": {}}]}
    ],
    "input_layers": [["i", 0, 0]], "output_layers": [["l", 0, 0]]}}"""
)
ODD = [
    None, True, 0, -1, 1.5, 10**18, "", "x", "relu", "Dense", "Input", "adam", "../x", "{", [], [1], [[]], {},
    {"class_name": "Dense"}, {"class_name": 5, "config": None}, {"class_name": "__keras_tensor__"},
    {"config": {"layers": 3}},
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of the value, with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _spoilt(job: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The job with one to three things in it removed, doubled, swapped for something odd, or moved elsewhere."""
    job = copy.deepcopy(job)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(job))
        container, key = chance.choice(places)
        match chance.randint(0, 3):
            case 0:
                del container[key]
            case 1:
                container[key] = copy.deepcopy(chance.choice(ODD))
            case 2:
                other, its_key = chance.choice(places)
                container[key] = copy.deepcopy(other[its_key])
            case _ if isinstance(container, dict):
                container[chance.choice(["lr", "input_shape", "name", "x", "layers", "config"])] = container.pop(key)
            case _:
                container.append(container.pop(key))
    return job


def _take_or_refuse(raw: Any) -> bool:
    faults = None
    try:
        parsed = parse_job(raw, lambda name: None)
    except InvalidSpec as error:
        faults = error.errors
    if faults is not None:
        assert faults
        assert all(fault.pointer == "" or fault.pointer.startswith("/") for fault in faults)
        json.dumps([fault.model_dump() for fault in faults])
        return False
    assert read_job(json.loads(json.dumps(parsed.spec.to_json()))) == parsed.spec
    assert parse_job(parsed.spec.to_json(), lambda name: None).spec == parsed.spec
    assert logged_names(parsed.spec)
    return True


@pytest.mark.parametrize("model", [CNN["model"], FUNCTIONAL], ids=["sequential", "functional"])
def test_a_spoilt_job_is_taken_or_refused(model: dict[str, Any]) -> None:
    job = CNN | {"model": model}
    if model is FUNCTIONAL:
        job["data"] = CNN["data"] | {"prepare": {"x": [{"scale": 0.1}], "y": []}}
    assert _take_or_refuse(job)
    taken = [_take_or_refuse(_spoilt(job, random.Random(seed))) for seed in range(2000)]
    assert 50 < sum(taken) < 1500  # both answers are met


@settings(max_examples=300)
@given(JSON)
def test_anything_at_all_is_refused(raw: Any) -> None:
    assert not _take_or_refuse(raw)


@settings(max_examples=300)
@given(st.integers(0, 150), JSON)
def test_anything_in_any_place(place: int, value: Any) -> None:
    job = copy.deepcopy(CNN)
    places = list(_places(job))
    container, key = places[place % len(places)]
    container[key] = value
    _take_or_refuse(job)
