"""Layers that learn something from the data before the training, by Keras's `adapt`.

In Keras, a script calls `adapt` before it calls `fit`. In a job, the argument `adapt` of the layer says so.
"""

from collections.abc import Mapping
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer

_LEARNED: Final[Mapping[str, tuple[str, ...]]] = {
    "Normalization": ("mean", "variance"),
    "Discretization": ("bin_boundaries",),
    "IntegerLookup": ("vocabulary",),
}
"""The arguments that `adapt` finds values for, by class."""

_MODEL_NESTING: Final = 2
"""The nesting of a layer of the model itself, in a job."""


def complete_adapt(class_name: str, config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the checked config of a layer, with `adapt: true` if the layer must learn what its config does not give.

    Args:
        pointer: leads to the config.
    """
    learned = _LEARNED.get(class_name)
    if learned is None:
        return config
    if any(config.get(name) is not None for name in learned):
        return _with_given(class_name, config, learned, pointer)
    if class_name == "Discretization" and config.get("num_bins") is None:
        message = "Discretization needs bin_boundaries, or num_bins to learn so many from the training data."
        pointer.add_fault(FaultCode.MISSING, message, expected="bin_boundaries or num_bins")
        return config
    names = " and ".join(learned)
    if config.get("adapt") is False:
        message = f"{class_name} needs {names}, or `adapt: true` to learn them from the training data."
        pointer.add_fault(FaultCode.MISSING, message, expected=f"{names}, or adapt: true")
    elif pointer.nesting > _MODEL_NESTING:
        message = (
            f"{class_name} has no {names}. A job adapts layers of the model itself only, not layers inside others."
        )
        pointer.add_fault(FaultCode.NOT_SUPPORTED, message, expected=f"{names}, or a layer of the model itself")
    elif "adapt" not in config:
        message = f"{class_name} has no {names}: the job adapts it on the training data before it trains."
        pointer.add_notice(NoticeCode.FILLED_IN, message)
    # Keras writes the size of a vocabulary that it does not write, and then accepts no vocabulary of another size.
    return {name: value for name, value in config.items() if name != "vocabulary_size"} | {"adapt": True}


def _with_given(class_name: str, config: dict[str, Any], learned: tuple[str, ...], pointer: Pointer) -> dict[str, Any]:
    """Return the config of a layer that need not learn anything."""
    if config.get("adapt"):
        (pointer / "adapt").add_fault(
            FaultCode.CONFLICT,
            f"{class_name} has {' and '.join(learned)}, so there is nothing for it to learn.",
            received=True,
            expected="either of the two",
        )
    # Keras writes both arguments for a Discretization that was adapted, and accepts only one.
    dropped = {"adapt", "num_bins"} if class_name == "Discretization" else {"adapt"}
    return {name: value for name, value in config.items() if name not in dropped}
