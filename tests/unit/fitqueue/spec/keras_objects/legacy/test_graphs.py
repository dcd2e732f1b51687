"""The graph of a functional model as Keras 2 wrote it."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]
FindFaults = Callable[[Any], list[Fault]]


def job(class_name: Any = "Add") -> dict[str, Any]:
    """Return a job with a layer of this class that is called on two tensors."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "in", "shape": [12]}, "inbound_nodes": []},
        {"class_name": "Dense", "config": {"name": "a", "units": 3}, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {"class_name": "Dense", "config": {"name": "b", "units": 3}, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {"class_name": class_name, "config": {"name": "sum"}, "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]]},
    ]
    config = {"layers": layers, "input_layers": [["in", 0, 0]], "output_layers": [["sum", 0, 0]]}
    return sequential_job() | {"model": {"class_name": "Functional", "config": config}}


def test_calls_are_translated(parse: Parse) -> None:
    parsed = parse(job())
    (node,) = parsed.spec.model.config["layers"][3]["inbound_nodes"]
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in "ab"]
    assert node == {"args": [tensors], "kwargs": {}}
    assert notices_of(parsed) == [("/model/config", "translated")]


@pytest.mark.parametrize("class_name", [None, 3, ["Add"], {"class_name": "Add"}])
def test_a_class_name_that_is_not_a_string(class_name: Any, find_faults: FindFaults) -> None:
    faults = find_faults(job(class_name))
    assert ("/model/config/layers/3", "missing") in {(fault.pointer, fault.code) for fault in faults}
