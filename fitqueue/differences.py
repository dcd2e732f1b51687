"""In which values several JSON documents differ, by JSON pointer. Pure functions."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.json_pointer import escape

MISSING: Final = object()
"""What stands for a value that a document does not have. JSON's null is a value."""


@dataclass(frozen=True)
class Row:
    """The values at one pointer, one of each document."""

    pointer: str
    values: tuple[Any, ...]
    differs: bool


def compare(documents: Sequence[Any]) -> Iterator[Row]:
    """Yield the values of the documents in the order of the first that has them.

    Objects and arrays are compared value by value. One that a document lacks is one value, unless the others differ in
    it themselves.
    """
    return _compare("", tuple(documents))


def as_text(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def _compare(pointer: str, values: tuple[Any, ...]) -> Iterator[Row]:
    keys = _keys_of(values)
    if not keys or (MISSING in values and not _differ(_present(values))):
        yield Row(pointer, values, _differ(values))
        return
    for key in keys:
        yield from _compare(f"{pointer}/{escape(key)}", tuple(_member(value, key) for value in values))


def _keys_of(values: tuple[Any, ...]) -> Sequence[str | int]:
    """Return the keys by which values are compared; none if they are not all objects, or all arrays."""
    present = _present(values)
    if present and all(isinstance(value, dict) for value in present):
        return list(dict.fromkeys(key for value in present for key in value))
    if present and all(isinstance(value, list) for value in present):
        return range(max(map(len, present)))
    return ()


def _member(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(key, MISSING)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return MISSING


def _present(values: tuple[Any, ...]) -> list[Any]:
    return [value for value in values if value is not MISSING]


def _differ(values: Sequence[Any]) -> bool:
    """Tell whether values differ. To Python, `true` equals 1, to JSON and to Keras it does not."""
    return any(_canonical(value) != _canonical(values[0]) for value in values[1:])


def _canonical(value: Any) -> str | None:
    if value is MISSING:
        return None
    # As numbers, 1 and 1.0 are the same.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)
