"""Tensors in the graph of a functional model as Keras 2 wrote them: `[layer, node, tensor]`."""

from typing import Any


def is_history(value: Any) -> bool:
    """Return whether a value is [layer, node, tensor]; the numbers may be negative, for the check of the graph."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(type(number) is int for number in value[1:])
    )


def is_call_entry(value: Any) -> bool:
    """Return whether a value is a tensor of a call, alone or with the keywords of the call behind it."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and is_history(value[:3])
        and (len(value) == 3 or isinstance(value[3], dict))
    )
