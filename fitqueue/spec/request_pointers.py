"""Pointers into a job as it was sent, from pointers into the job as it is stored.

The two differ where something was translated or filled in: a layer for the input in front of the others, an argument
under its present name, an object in place of a name.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from typing import Any


def request_pointer(pointer: str, sent: Any, stored: Any) -> str:
    """The place in `sent` that the value at `pointer` in `stored` came from, or the nearest one around it."""
    found = ""
    for token in pointer.split("/")[1:]:
        if isinstance(sent, str) and isinstance(stored, dict):
            with suppress(ValueError):  # a whole model may be sent as the string that `to_json` gives
                sent = json.loads(sent)
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(sent, dict) and isinstance(stored, dict) and key in sent:
            sent, stored = sent[key], stored.get(key)
        elif isinstance(sent, list) and isinstance(stored, list) and key.isdecimal() and sent:
            index = _counterpart(int(key), sent, stored)
            sent, stored = sent[index], stored[int(key)] if int(key) < len(stored) else None
            token = str(index)
        else:
            break
        found += f"/{token}"
    return found


def _counterpart(index: int, sent: Sequence[Any], stored: Sequence[Any]) -> int:
    """Where in `sent` an item of `stored` stands; for one that was put in, the item it was put in for."""
    if len(sent) == len(stored):
        return index
    matcher = SequenceMatcher(None, _words(stored), _words(sent), autojunk=False)
    for match in matcher.get_matching_blocks():
        if index < match.a + match.size:
            return min(match.b + max(0, index - match.a), len(sent) - 1)
    return len(sent) - 1


def _words(items: Sequence[Any]) -> list[str]:
    return [str(item.get("class_name")) if isinstance(item, dict) else "" for item in items]
