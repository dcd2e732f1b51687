"""Map pointers into a job as it is stored to pointers into the job as it was sent.

The two documents differ where something was translated or filled in: an InputLayer in front of the other layers, an
argument under its present name, an object in place of a name, an object by name in place of a list.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from typing import Any

from fitqueue.json_pointer import pointer_to, unescape
from fitqueue.spec.keras_objects.legacy.slashes import without_slashes


def request_pointer(pointer: str, sent: Any, stored: Any) -> str:
    """Return the pointer to what became the value at `pointer`, or to the nearest value around it.

    Args:
        pointer: a pointer into `stored`.
        sent: the job as it was sent; the result points into it.
        stored: the job as it is stored.
    """
    keys: list[str | int] = []
    for token in pointer.split("/")[1:]:
        if isinstance(sent, str) and isinstance(stored, dict):
            with suppress(ValueError):  # a whole model may be sent as the string that `to_json` returns
                sent = json.loads(sent)
        key = unescape(token)
        if key == "layers" and isinstance(sent, list) and isinstance(stored, dict):
            stored = stored.get("layers")  # the config of a Sequential was this list itself
            continue
        if isinstance(sent, dict) and isinstance(stored, dict) and (sent_key := _sent_key(key, sent)) in sent:
            sent, stored = sent[sent_key], stored.get(key)
            keys.append(sent_key)
        elif isinstance(sent, list) and isinstance(stored, dict) and key in stored:
            index = _index_of_name(key, sent, stored)
            sent, stored = sent[index], stored[key]
            keys.append(index)
        elif isinstance(sent, list) and isinstance(stored, list) and key.isdecimal() and sent:
            index = _sent_index(int(key), sent, stored)
            sent, stored = sent[index], stored[int(key)] if int(key) < len(stored) else None
            keys.append(index)
        else:
            break
    return pointer_to(*keys)


def with_sent_names(pointer: str, sent: Any) -> str:
    """Return a pointer into a job that was sent, with the names that it has there: slashes, too."""
    keys: list[str | int] = []
    for token in pointer.split("/")[1:]:
        key: str | int = unescape(token)
        if isinstance(sent, dict):
            key = _sent_key(unescape(token), sent)
            sent = sent.get(key)
        elif isinstance(sent, list) and token.isdecimal() and int(token) < len(sent):
            sent = sent[int(token)]
        else:
            sent = None
        keys.append(key)
    return pointer_to(*keys)


def _sent_key(key: str, sent: Mapping[str, Any]) -> str:
    """Return the key of an object that became this one: names of layers are stored without their slashes."""
    if key in sent:
        return key
    return next((sent_key for sent_key in sent if without_slashes(sent_key) == key), key)


def _index_of_name(name: str, sent: Sequence[Any], stored: Mapping[str, Any]) -> int:
    """Return the index of an output's item in a list in the order of the model; some nulls are not stored."""
    given = [i for i, item in enumerate(sent) if item is not None or len(sent) == len(stored)]
    return given[list(stored).index(name)]


def _sent_index(index: int, sent: Sequence[Any], stored: Sequence[Any]) -> int:
    """Return the index in `sent` of an item of `stored`; for an inserted item, of the one that it was inserted for."""
    if len(sent) == len(stored):
        return index
    matcher = SequenceMatcher(None, _class_names(stored), _class_names(sent), autojunk=False)
    for match in matcher.get_matching_blocks():
        if index < match.a + match.size:
            return min(match.b + max(0, index - match.a), len(sent) - 1)
    return len(sent) - 1


def _class_names(items: Sequence[Any]) -> list[str]:
    return [str(item.get("class_name")) if isinstance(item, dict) else "" for item in items]
