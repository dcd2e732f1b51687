"""Models of Keras 1."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from tests.unit.fitqueue.spec.jobs import layer, sequential_job

OLD_DENSE = layer("Dense", output_dim=1, input_dim=12, init="uniform", bias=True, W_regularizer=None, b_constraint=None)


@pytest.mark.parametrize(
    "model",
    [
        {"class_name": "Sequential", "keras_version": "1.2.1", "config": [OLD_DENSE]},
        {"class_name": "Sequential", "config": [OLD_DENSE]},
        {"class_name": "Model", "keras_version": "1.2.1", "config": {"name": "m", "layers": [OLD_DENSE]}},
    ],
)
def test_a_model_of_keras_1_has_one_fault(model: Any, only_fault: Callable[[Any], Fault]) -> None:
    fault = only_fault(sequential_job() | {"model": model})
    assert (fault.pointer, fault.code) == ("/model", "not_supported")
    assert "Keras 1" in fault.message
    assert "Keras 2" in fault.message


def test_arguments_of_keras_2_are_not_taken_for_those_of_keras_1(find_faults: Callable[[Any], list[Fault]]) -> None:
    job = sequential_job(layer("Embedding", input_dim=9, output_dim=2), layer("Flatten"), layer("Dense", units=1))
    assert find_faults(job) == []
