"""Any JSON is either accepted as a job or refused with faults: nothing else is ever raised."""

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
from fitqueue.spec import parse_job, read_job

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


def _containers(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in the value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _containers(value[key])


def _mutated(job: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return the job with one to three values removed, replaced, copied or moved."""
    job = copy.deepcopy(job)
    for _ in range(rng.randint(1, 3)):
        containers = list(_containers(job))
        container, key = rng.choice(containers)
        match rng.randint(0, 3):
            case 0:
                del container[key]
            case 1:
                container[key] = copy.deepcopy(rng.choice(ODD))
            case 2:
                other, other_key = rng.choice(containers)
                container[key] = copy.deepcopy(other[other_key])
            case _ if isinstance(container, dict):
                container[rng.choice(["lr", "input_shape", "name", "x", "layers", "config"])] = container.pop(key)
            case _:
                container.append(container.pop(key))
    return job


def _is_accepted(raw: Any) -> bool:
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
    assert parsed.spec.logged_names
    return True


@pytest.mark.parametrize("model", [CNN["model"], FUNCTIONAL], ids=["sequential", "functional"])
def test_a_mutated_job_is_accepted_or_refused(model: dict[str, Any]) -> None:
    job = CNN | {"model": model}
    if model is FUNCTIONAL:
        job["data"] = CNN["data"] | {"prepare": {"x": [{"scale": 0.1}], "y": []}}
    assert _is_accepted(job)
    accepted = [_is_accepted(_mutated(job, random.Random(seed))) for seed in range(2000)]
    assert 50 < sum(accepted) < 1500  # both outcomes occur


@settings(max_examples=300)
@given(JSON)
def test_arbitrary_json_is_refused(raw: Any) -> None:
    assert not _is_accepted(raw)


@settings(max_examples=300)
@given(st.integers(0, 150), JSON)
def test_arbitrary_json_anywhere_in_a_job(index: int, value: Any) -> None:
    job = copy.deepcopy(CNN)
    containers = list(_containers(job))
    container, key = containers[index % len(containers)]
    container[key] = value
    _is_accepted(job)
