"""Check arguments of layers that Keras accepts, and with which TensorFlow cannot compute in the training."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from fitqueue.spec.findings import FaultCode, Pointer


def check_layer_values(class_name: str, config: Mapping[str, Any], pointer: Pointer) -> None:
    """Report what a layer cannot compute with. `pointer` leads to the config.

    A value of the wrong type was reported before.
    """
    if class_name == "Discretization":
        _check_boundaries(config.get("bin_boundaries"), pointer / "bin_boundaries")
        if config.get("adapt") and config.get("epsilon") == 0:
            message = "The layer learns its boundaries up to this error, which cannot be 0."
            (pointer / "epsilon").add_fault(FaultCode.OUT_OF_RANGE, message, config["epsilon"], "a number > 0")
    if class_name == "Normalization":
        _check_variance(config.get("variance"), pointer / "variance")


def _check_boundaries(boundaries: Any, pointer: Pointer) -> None:
    for i, (lower, upper) in enumerate(pairwise(_numbers(boundaries))):
        if lower > upper:
            message = f"The boundaries of the bins must ascend, but {upper:g} follows {lower:g}."
            (pointer / (i + 1)).add_fault(FaultCode.OUT_OF_RANGE, message, upper, f"at least {lower:g}")
            return


def _check_variance(variance: Any, pointer: Pointer) -> None:
    lowest = min(_numbers(variance), default=0.0)
    if lowest < 0:
        message = "A variance is never negative: with its root, every value would be NaN."
        pointer.add_fault(FaultCode.OUT_OF_RANGE, message, lowest, "numbers ≥ 0")


def _numbers(value: Any) -> list[float]:
    """Return the numbers in nested lists."""
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []
