"""Names of layers with slashes, such as `conv1/conv`, which Keras 2 wrote and Keras 3 refuses."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fitqueue.spec.findings import NoticeCode, Pointer, quoted


def without_slashes(name: str) -> str:
    """Return a name with underscores in place of slashes, as Keras 3 has the names of its own architectures.

    A name that would lead somewhere as a path stays as it is, for the check of names to refuse.
    """
    is_path = any(part.strip(".") == "" for part in name.split("/"))
    return name if is_path else name.replace("/", "_")


def replace_slashes(config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the config of a model without slashes in the names of its layers, wherever it names them."""
    current = {name: without_slashes(name) for name in _names_in(config) if without_slashes(name) != name}
    if not current:
        return config
    first = next(iter(current))
    others = f", and so are the slashes in {len(current) - 1} other names" if len(current) > 1 else ""
    pointer.add_notice(NoticeCode.TRANSLATED, f"{quoted(first)} is read as {quoted(current[first])}{others}.")
    renamed: dict[str, Any] = _renamed(config, current)
    return renamed


def renamed_keys(values: Any, known: Collection[str]) -> Any:
    """Return an object by the names of inputs or outputs with the known names, if its keys are those with slashes."""
    if not isinstance(values, dict):
        return values
    return {
        key if key in known or without_slashes(key) not in known else without_slashes(key): value
        for key, value in values.items()
    }


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for member in value.values():
            yield from _names_in(member)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):  # an array may have millions of numbers
                yield from _names_in(item)


def _renamed(value: Any, current: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: current.get(member, member) if key == "name" and isinstance(member, str) else _renamed(member, current)
            for key, member in value.items()
        }
    if not isinstance(value, list):
        return value
    if _is_history(value):
        return [current.get(value[0], value[0]), *(_renamed(item, current) for item in value[1:])]
    return [_renamed(item, current) for item in value]


def _is_history(value: list[Any]) -> bool:
    """Return whether a list begins with the name of a layer, a node and a tensor, as in Keras 2 and 3."""
    return len(value) >= 3 and isinstance(value[0], str) and all(type(number) is int for number in value[1:3])
