"""Arguments of layers that Keras accepts when it builds a model, and that fail or spoil the training."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob

Changed = Callable[[str, Any], dict[str, Any]]
LAYER = "/model/config/layers/1"


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


@pytest.mark.parametrize(
    ("value", "pointer", "code"),
    [
        (layer("Discretization", bin_boundaries=[1, 5, 2]), "bin_boundaries/2", "out_of_range"),
        (layer("Discretization", num_bins=4, epsilon=0.0), "epsilon", "out_of_range"),
        (layer("Normalization", mean=0.5, variance=-1.0), "variance", "out_of_range"),
        (layer("Normalization", mean=[0.5, 1], variance=[1, -1]), "variance", "out_of_range"),
        (layer("Discretization", bin_boundaries="all"), "bin_boundaries", "wrong_type"),
    ],
)
def test_what_cannot_be_computed(
    value: dict[str, Any], pointer: str, code: str, changed: Changed, only_fault: Callable[[Any], Fault]
) -> None:
    fault = only_fault(changed(LAYER, value))
    assert (fault.pointer, fault.code) == (f"{LAYER}/config/{pointer}", code)


@pytest.mark.parametrize(
    "value",
    [
        layer("Discretization", bin_boundaries=[1, 1], epsilon=0),
        layer("Normalization", mean=1.0, variance=0.0),
        layer("DepthwiseConv2D", kernel_size=1, strides=[1, 2]),  # with `jit_compile`, TensorFlow computes it
        layer("SeparableConv2D", filters=1, kernel_size=1, strides=[2, 1]),
    ],
)
def test_what_can(value: dict[str, Any], changed: Changed, parse: Callable[[Any], ParsedJob]) -> None:
    assert parse(changed(LAYER, value)).spec.model.config["layers"][1]["config"] == value["config"]
