"""Null where it is Keras's own default, and arguments of Keras 2 that have no effect here."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer

_NULL_IS_DEFAULT: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("fit", "callbacks"),
    "fit": ("batch_size", "callbacks", "validation_data", "sample_weight", "x", "y"),
}
"""What may be null as in Keras, by the part of the job; a part itself says nothing then."""


def _any(_: Any) -> bool:
    return True


_WITHOUT_EFFECT: Final[Mapping[str, Mapping[str, Callable[[Any], bool]]]] = {
    "fit": {
        **dict.fromkeys(["workers", "use_multiprocessing", "max_queue_size"], _any),
        "initial_epoch": lambda value: type(value) is int and value == 0,
    },
    "compile": {"target_tensors": lambda value: value is None},
}
"""Arguments of Keras that a job does not have, with the values that change nothing, by the part of the job."""


def without_defaults(job: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the job without the nulls and the arguments that say nothing; the latter get a notice."""
    kept = _without_nulls(job, "")
    for part, arguments in _WITHOUT_EFFECT.items():
        if isinstance(kept.get(part), dict):
            kept[part] = _without_effect(_without_nulls(kept[part], part), arguments, pointer / part)
    return kept


def _without_nulls(values: Mapping[str, Any], part: str) -> dict[str, Any]:
    defaults = _NULL_IS_DEFAULT.get(part, ())
    return {name: value for name, value in values.items() if value is not None or name not in defaults}


def _without_effect(
    values: Mapping[str, Any], arguments: Mapping[str, Callable[[Any], bool]], pointer: Pointer
) -> dict[str, Any]:
    ignored = [name for name, value in values.items() if name in arguments and arguments[name](value)]
    for name in ignored:
        (pointer / name).add_notice(NoticeCode.IGNORED, f"{name} has no effect here and is left out.")
    return {name: value for name, value in values.items() if name not in ignored}
