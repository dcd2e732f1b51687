"""Which argument of `client.fit` a pointer into a job is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from fitqueue.errors import Fault

_COMPILE = "model.compile({name}=…)"
_LISTS_OF_LAYERS = ("layers", "cells")
_LAYERS = ("layer", "backward_layer", "cell")
"""The arguments of a layer that are layers."""


def with_argument(fault: Fault, model: Any, callbacks: Sequence[str]) -> Fault:
    """Return a fault whose message begins with the argument that it is about."""
    argument = argument_of(fault.pointer, model, callbacks)
    if not argument or fault.message.startswith(argument):
        return fault
    return fault.model_copy(update={"message": f"{argument}: {fault.message}"})


def argument_of(pointer: str, model: Any, callbacks: Sequence[str]) -> str:
    """Return the argument in Python's words; empty if there is none.

    Args:
        model: the model as it is sent, for the name of the layer that is meant.
        callbacks: the words for each callback.
    """
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    if not keys:
        return ""
    root, *rest = keys
    if root == "model":
        layer = _layer_name(rest, model)
        return f"model, layer {layer!r}" if layer else "model"
    if root == "compile":
        return _COMPILE.format(name=rest[0]) if rest else "model"
    if root == "callbacks" and rest and rest[0].isdecimal() and int(rest[0]) < len(callbacks):
        return callbacks[int(rest[0])]
    if root == "data":
        return "validation_data" if rest[:1] == ["validation"] else rest[0] if rest else "x"
    if root in {"fit", "resources"}:
        return rest[0] if rest else root
    return root


def _layer_name(keys: Sequence[str], model: Any) -> str | None:
    """Return the name of the innermost layer on the way."""
    name, value = None, model
    for parent, key in zip(["", *keys], keys, strict=False):
        value = _member(value, key)
        is_layer = parent in _LISTS_OF_LAYERS or key in _LAYERS
        if is_layer and isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
            name = value["config"].get("name") or name
    return name


def _member(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None
