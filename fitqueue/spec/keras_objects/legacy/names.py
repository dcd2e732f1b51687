"""Classes and functions under names that Keras has given up."""

from typing import Any

from fitqueue.spec.findings import NoticeCode, Pointer
from fitqueue.spec.keras_objects.legacy.rules import CLASSES, NAMES


def current_class(class_name: Any) -> str | None:
    """Return the present name of a layer's class; None if `class_name` is not a string."""
    return CLASSES.get(("layers", class_name), class_name) if isinstance(class_name, str) else None


def translate_class(value: dict[str, Any], kind: str, pointer: Pointer) -> dict[str, Any]:
    """Return the object under the present name of its class."""
    class_name = value.get("class_name")
    present = CLASSES.get((kind, class_name)) if isinstance(class_name, str) else None
    if present is None or not isinstance(class_name, str):
        return value
    (pointer / "class_name").add_notice(NoticeCode.TRANSLATED, f"{class_name!r} is read as {present!r}.")
    translated = {**value, "class_name": present}
    if value.get("registered_name") == class_name:
        translated["registered_name"] = present
    config = value.get("config", {})
    if isinstance(config, dict):
        translated["config"] = _translate_config(class_name, config)
    return translated


def _translate_config(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with what the old name of the class said beside it."""
    if class_name == "SyncBatchNormalization":
        return {**config, "synchronized": True}
    if class_name == "ThresholdedReLU":
        # Its only argument: lower values become 0.
        rest = {name: value for name, value in config.items() if name != "theta"}
        return {**rest, "threshold": config.get("theta", 1.0)}
    return config


def translate_name(name: str, kind: str, pointer: Pointer) -> Any:
    """Return the present name, or the object that the name stood for."""
    present = NAMES.get(kind, {}).get(name)
    if present is None:
        return name
    shown = repr(present) if isinstance(present, str) else f"{present['class_name']} with {present['config']}"
    pointer.add_notice(NoticeCode.TRANSLATED, f"{name!r} is read as {shown}.")
    return present


def contains(value: Any, word: str) -> bool:
    """Return whether a JSON value is the word, or contains it at any depth."""
    if isinstance(value, dict):
        return any(contains(member, word) for member in value.values())
    return any(contains(item, word) for item in value) if isinstance(value, list) else value == word
