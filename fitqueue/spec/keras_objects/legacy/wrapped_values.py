"""Values that Keras wrote with their Python type around them: tuples, shapes and arrays."""

from typing import Any, Final

from fitqueue.spec.findings import Pointer

_WITH_ITEMS: Final = ("__tuple__", "TensorShape")
_WITH_CONFIG: Final = ("__numpy__", "__tensor__")


def unwrapped(value: Any, pointer: Pointer) -> tuple[Any, Pointer]:
    """Return the plain value in a tuple, a shape or an array as Keras wrote it, and the pointer to it there."""
    if not isinstance(value, dict):
        return value, pointer
    class_name, config = value.get("class_name"), value.get("config")
    if class_name in _WITH_ITEMS and isinstance(value.get("items"), list):
        return value["items"], pointer / "items"
    if class_name in _WITH_CONFIG and isinstance(config, dict) and "value" in config:
        return config["value"], pointer / "config" / "value"
    if value.get("type") == "ndarray" and "value" in value:
        return value["value"], pointer / "value"
    return value, pointer
