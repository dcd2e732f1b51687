"""Strict reading of JSON: what RFC 8259 leaves open, and what Python's reader lets through, is refused here.

Refused: NaN and Infinity, numbers too large for a double or for 64 bits, the same key twice in an object, nesting
beyond `MAX_DEPTH`, bytes that are not UTF-8, half surrogates, and the character NUL (PostgreSQL stores neither).
"""

import json
import math
import re
from typing import Any, Final, NoReturn

from fitqueue.errors import MalformedJSON

MAX_DEPTH: Final = 64

# One that nobody ends is a match, too: else each later quote would be tried anew, to the end of the text.
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
# A string, or one bracket. The string comes first, so that brackets inside strings are passed over.
_TOKENS: Final = re.compile(_STRING.pattern + r"|[\[{\]}]", re.DOTALL)
_SUSPECT: Final = re.compile(r"\\u(0000|[dD][89a-fA-F])")
_FORBIDDEN: Final = re.compile("[\x00\ud800-\udfff]")


def parse_json(body: bytes) -> Any:
    """The value that `body` holds. Raises MalformedJSON, whose message names line and column where there are any."""
    text = _decode(body)
    _check_depth(text)
    try:
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise MalformedJSON(f"The body is not JSON: {message}.") from error


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedJSON(f"The body is not UTF-8: byte {error.start} is {body[error.start]:#04x}.") from error
    # Escapes are the only way in for what UTF-8 itself cannot hold; few texts have one that could be it.
    if _SUSPECT.search(text):
        _check_escapes(text)
    if "\x00" in text:
        raise MalformedJSON("The body holds the character NUL, which no text of a job may hold.")
    return text


def _check_escapes(text: str) -> None:
    for string in _STRING.finditer(text):
        if not _SUSPECT.search(string.group()):
            continue
        try:
            value = json.loads(string.group(), strict=False)
        except json.JSONDecodeError:
            continue  # the reader itself will say where
        if _FORBIDDEN.search(value):
            line, column = _position(text, string.start())
            raise MalformedJSON(
                "A string holds \\u0000 or half of a surrogate pair, which no text may hold, "
                f"at line {line}, column {column}."
            )


def _check_depth(text: str) -> None:
    """Python's reader recurses, so depth is counted before it starts."""
    depth = 0
    for token in _TOKENS.finditer(text):
        first = token.group()[0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                line, column = _position(text, token.start())
                raise MalformedJSON(f"The body nests deeper than {MAX_DEPTH} levels at line {line}, column {column}.")
        elif first in "]}":
            depth -= 1


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _integer(digits: str) -> int:
    # 20 characters hold every 64-bit integer with its sign; `int` of more is slow, and refused by Python past 4,300.
    value = int(digits) if len(digits) <= 20 else None
    if value is None or not -(2**63) <= value < 2**63:
        raise MalformedJSON(f"The integer {_short(digits)} does not fit into 64 bits.")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise MalformedJSON(f"The number {_short(digits)} does not fit into a double.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJSON(f"{name} is no JSON value.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedJSON(f"The key {_short(key)!r} stands twice in one object.")
            seen.add(key)
    return value


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
