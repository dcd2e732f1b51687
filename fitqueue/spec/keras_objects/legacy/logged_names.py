"""Logged values under old names, such as `acc`, `lr` and `conv1/out_loss`."""

from collections.abc import Collection
from typing import Final

from fitqueue.spec.keras_objects.legacy.rules import NAMES
from fitqueue.spec.keras_objects.legacy.slashes import without_slashes

_ALIASES: Final = {"acc": "accuracy", "accuracy": "acc", "lr": "learning_rate", **NAMES["metrics"]}


def logged_as(name: str, logged_names: Collection[str]) -> str:
    """Return the logged name that `name` is an alias of; `name` itself if it is logged or there is no such name.

    In front of the name of a metric there may be `val_` and, for a model with several outputs, the name of an output.
    """
    if name in logged_names:
        return name
    if without_slashes(name) in logged_names:
        return without_slashes(name)
    candidates = (name.removesuffix(old) + new for old, new in _ALIASES.items() if f"_{name}".endswith(f"_{old}"))
    return next((candidate for candidate in candidates if candidate in logged_names), name)
