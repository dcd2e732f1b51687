"""JSON for people who edit it: a list or an object of plain values stays on one line if it fits."""

import json
from typing import Any, Final

_INDENT: Final = "  "
_MAX_WIDTH: Final = 100


def pretty(value: Any, margin: str = "") -> str:
    """Return the JSON of a value, whose lines after the first begin with `margin`."""
    line = json.dumps(value, ensure_ascii=False)
    if not _has_items(value) or (_is_flat(value) and len(margin) + len(line) <= _MAX_WIDTH):
        return line
    inner = margin + _INDENT
    if isinstance(value, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, inner)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [pretty(item, inner) for item in value]
        opening, closing = "[", "]"
    joined = f",\n{inner}".join(items)
    return f"{opening}\n{inner}{joined}\n{margin}{closing}"


def _has_items(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _is_flat(value: dict[str, Any] | list[Any]) -> bool:
    return not any(_has_items(item) for item in (value.values() if isinstance(value, dict) else value))
