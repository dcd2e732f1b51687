"""Which argument of `client.fit` a pointer into a job is about."""

from collections.abc import Mapping, Sequence
from typing import Any

_COMPILE = "model.compile({name}=…)"


def argument_of(pointer: str, body: Mapping[str, Any]) -> str:
    """Return the argument in Python's words, with the layer or callback that is meant; empty if there is none."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    if not keys:
        return ""
    root, *rest = keys
    if root == "model":
        layer = _layer_name(rest, body.get("model"))
        return f"model, layer {layer!r}" if layer else "model"
    if root == "compile":
        return _COMPILE.format(name=rest[0]) if rest else "model"
    if root == "callbacks" and rest:
        return f"callbacks[{rest[0]}] ({_class_name(body.get('callbacks'), rest[0])})"
    if root == "data":
        return "validation_data" if rest[:1] == ["validation"] else rest[0] if rest else "x"
    if root in {"fit", "resources"}:
        return rest[0] if rest else root
    return root


def _layer_name(keys: Sequence[str], model: Any) -> str | None:
    """Return the name of the innermost layer on the way."""
    name, value = None, model
    for key in keys:
        value = _member(value, key)
        if isinstance(value, Mapping) and "class_name" in value and isinstance(value.get("config"), Mapping):
            name = value["config"].get("name") or name
    return name


def _class_name(callbacks: Any, index: str) -> str:
    callback = _member(callbacks, index)
    return str(callback.get("class_name", "")) if isinstance(callback, Mapping) else ""


def _member(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None
