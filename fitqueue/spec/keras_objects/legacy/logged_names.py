"""Logged values under old names, such as `acc`, `lr` and `conv1/out_loss`."""

from collections.abc import Sequence
from typing import Final

from fitqueue.spec.keras_objects.legacy.rules import NAMES
from fitqueue.spec.keras_objects.legacy.slashes import without_slashes

_ALIASES: Final = {"acc": "accuracy", "accuracy": "acc", "lr": "learning_rate", **NAMES["metrics"]}


def logged_as(name: str, logged_names: Sequence[str]) -> str:
    """Return the logged name that `name` is an alias of; `name` itself if it is logged or there is no such name.

    In front of the name of a metric there may be `val_` and, for a model with several outputs, the name of an output.
    """
    if name in logged_names or name.rpartition("/")[0] in logged_names:
        return name  # the second is one of the values of a metric
    by_plain_name = {without_slashes(logged_name): logged_name for logged_name in reversed(logged_names)}
    plain = without_slashes(name)
    candidates = (plain.removesuffix(old) + new for old, new in _ALIASES.items() if f"_{plain}".endswith(f"_{old}"))
    return next((by_plain_name[each] for each in (plain, *candidates) if each in by_plain_name), name)
