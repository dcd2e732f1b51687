"""What pydantic's validation errors say to a user, in our own words. Pure functions.

pydantic speaks of dictionaries, tuples, inputs and parsing. Every one of its errors that reaches a user goes through
here; one that is not in the table is described without any detail, and never in pydantic's words.
"""

from collections.abc import Mapping
from typing import Any, Final

_INTEGER: Final = "an integer"
_NUMBER: Final = "a number"
_BOOLEAN: Final = "true or false"
_STRING: Final = "a string"
_LIST: Final = "a list"
_OBJECT: Final = "an object"
_TIME: Final = "a time such as 2026-01-31T12:00:00Z"

EXPECTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(["int_type", "int_from_float", "int_parsing"], _INTEGER),
    "int_parsing_size": "a smaller integer",
    **dict.fromkeys(["float_type", "float_parsing"], _NUMBER),
    "finite_number": "a finite number",
    **dict.fromkeys(["bool_type", "bool_parsing"], _BOOLEAN),
    **dict.fromkeys(["string_type", "string_sub_type"], _STRING),
    "string_unicode": "a string of Unicode characters",
    **dict.fromkeys(["list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"], _LIST),
    **dict.fromkeys(["dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"], _OBJECT),
    "none_required": "null",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "a string of at least {min_length} character{plural}",
    "string_too_long": "a string of at most {max_length} character{plural}",
    "string_pattern_mismatch": "{words}",
    **dict.fromkeys(["literal_error", "enum"], "{expected}"),
    "union_tag_not_found": "an object with {discriminator}",
    "union_tag_invalid": "one of {expected_tags} as {discriminator}",
    **dict.fromkeys(["datetime_type", "datetime_parsing", "datetime_from_date_parsing"], _TIME),
    "timezone_aware": "a time with an offset from UTC",
}
"""What was expected, by pydantic's type of the error; the fields are those of its context."""

OTHER: Final = "a value of another kind"
"""What stands for an error that is not in the table."""

_ITEMS: Final = {"Dictionary": _OBJECT}


def expected(details: Mapping[str, Any]) -> str:
    """Return what was expected in place of the value that one of pydantic's errors is about."""
    kind, context = details["type"], details.get("ctx", {})
    if kind in {"too_short", "too_long"}:
        return _expected_length(kind, context)
    length = context.get("min_length", context.get("max_length"))
    try:
        return EXPECTED[kind].format(**context, plural=_plural(length))
    except KeyError:  # another version of pydantic
        return OTHER


def message(details: Mapping[str, Any]) -> str:
    """Return what one of pydantic's errors says, as a sentence."""
    kind = details["type"]
    name = details["loc"][-1] if details["loc"] else ""
    if kind == "missing":
        return f"The field {name!r} is missing."
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"Unknown field {name!r}."
    if kind in {"value_error", "assertion_error"}:
        return str(details["ctx"]["error"])
    return f"Expected {expected(details)}."


def _expected_length(kind: str, context: Mapping[str, Any]) -> str:
    container = _ITEMS.get(context.get("field_type", ""), _LIST)
    bound, length = ("least", context["min_length"]) if kind == "too_short" else ("most", context["max_length"])
    return f"{container} of at {bound} {length} item{_plural(length)}"


def _plural(count: Any) -> str:
    return "" if count == 1 else "s"
