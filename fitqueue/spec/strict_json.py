"""A strict JSON parser: it refuses what RFC 8259 leaves open and what Python's own parser accepts beyond it.

It refuses NaN and Infinity, numbers too large for a double or for 64 bits, duplicate keys in an object, nesting deeper
than `MAX_DEPTH`, bytes that are not UTF-8, unpaired surrogates, and the NUL character (PostgreSQL stores neither of
the last two).
"""

import json
import math
import re
from typing import Any, Final, NoReturn

from fitqueue.errors import MalformedJSON
from fitqueue.text import truncate

MAX_DEPTH: Final = 64
_MAX_QUOTED: Final = 40

# The closing quote is optional: otherwise the search would try each later quote in a string that never ends, and take
# quadratic time.
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
# A string, or one bracket. The string comes first, so that brackets inside strings do not count.
_TOKENS: Final = re.compile(_STRING.pattern + r"|[\[{\]}]", re.DOTALL)
_NO_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")
_SUSPECT: Final = re.compile(r"\\u(0000|[dD][89a-fA-F])")
_FORBIDDEN: Final = re.compile("[\x00\ud800-\udfff]")


def parse_json(body: bytes) -> Any:
    """Return the value that `body` holds.

    Raises:
        MalformedJSON: if it is not strict JSON. The message gives the line and column where possible.
    """
    text = _decode(body)
    if not _is_shallow(text):
        _check_depth(text)
    try:
        return json.loads(
            text,
            parse_int=_parse_integer,
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object_without_duplicates,
        )
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise MalformedJSON(f"The body is not JSON: {message}.") from error


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedJSON(f"The body is not UTF-8: byte {error.start} is {body[error.start]:#04x}.") from error
    # UTF-8 itself cannot encode surrogates, so only escapes can bring them in, and few texts have such escapes.
    if _SUSPECT.search(text):
        _check_escapes(text)
    if "\x00" in text:
        raise MalformedJSON("The body contains the NUL character, which is not allowed in a job.")
    return text


def _check_escapes(text: str) -> None:
    for string in _STRING.finditer(text):
        if not _SUSPECT.search(string.group()):
            continue
        try:
            value = json.loads(string.group(), strict=False)
        except json.JSONDecodeError:
            continue  # `parse_json` reports it with its position
        if _FORBIDDEN.search(value):
            line, column = _line_and_column(text, string.start())
            raise MalformedJSON(
                "A string contains \\u0000 or an unpaired surrogate, which is not allowed, "
                f"at line {line}, column {column}."
            )


def _is_shallow(text: str) -> bool:
    """Tell whether all brackets pair within `MAX_DEPTH` levels: in no time, also if there are many thousands."""
    brackets = _STRING.sub("", text).encode().translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return not brackets


def _check_depth(text: str) -> None:
    """Refuse deep nesting before Python's parser, which is recursive, sees the text."""
    depth = 0
    for token in _TOKENS.finditer(text):
        character = token.group()[0]
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                line, column = _line_and_column(text, token.start())
                raise MalformedJSON(
                    f"The body is nested deeper than {MAX_DEPTH} levels at line {line}, column {column}."
                )
        elif character in "]}":
            depth -= 1


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _parse_integer(digits: str) -> int:
    # Every 64-bit integer has at most 20 characters, the sign included. `int` is slow for long strings, and Python
    # refuses more than 4,300 digits.
    value = int(digits) if len(digits) <= 20 else None
    if value is None or not -(2**63) <= value < 2**63:
        raise MalformedJSON(f"The integer {truncate(digits, _MAX_QUOTED)} is too large for 64 bits.")
    return value


def _parse_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise MalformedJSON(f"The number {truncate(digits, _MAX_QUOTED)} is too large for a double.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJSON(f"{name} is not a JSON value.")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedJSON(f"The key {truncate(key, _MAX_QUOTED)!r} occurs twice in one object.")
            seen.add(key)
    return value
