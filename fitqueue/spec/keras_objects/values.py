"""Check one value against the schema that the catalogue gives its argument.

The schemas are JSON Schema with the keywords `anyOf`, `enum`, `type`, the usual bounds, and two of ours: `keras`, an
object of that kind or its name, and `declared`, what only code could say in Keras. Nothing is converted but a whole
number with a point, 3.0, which is read as the integer that it is, with a notice; "3" is no number.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from fitqueue.spec.keras_objects.catalogue import OBJECTS_ONLY, Schema
from fitqueue.spec.keras_objects.schedules import check_schedule
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, Report, TooManyFaults

CheckObject = Callable[[Any, str, Pointer], Any]

_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}
_DECLARED: Final[dict[str, Callable[[Any, Pointer], Any]]] = {"learning_rate_schedule": check_schedule}
_TYPE_NAMES: Final = {"boolean": "true or false", "null": "null", "string": "a string", "array": "a list"}
_KIND_NAMES: Final = {
    "activations": "the name of an activation or a layer that is one",
    "dtype_policies": "the name of a dtype policy such as 'float32'",
}


def check_value(value: Any, schema: Schema, at: Pointer, check_object: CheckObject) -> Any:
    """The value, with the objects in it in their canonical form. What is wrong is written down at its place."""
    alternatives = schema.get("anyOf", [schema])
    meant = [one for one in alternatives if _is_meant(value, one)]
    if not meant and isinstance(value, float) and value.is_integer() and _takes(int(value), alternatives):
        at.notice(NoticeCode.TRANSLATED, f"{value} is read as {int(value)}.")
        return check_value(int(value), schema, at, check_object)
    if len(meant) == 1:
        return _check(value, meant[0], at, check_object)
    for alternative in meant:
        trial = Pointer(Report(limit=1), at.text, at.nesting)
        with suppress(TooManyFaults):
            checked = _check(value, alternative, trial, check_object)
            at.report.notices.extend(trial.report.notices)
            return checked
    code = FaultCode.WRONG_TYPE
    if any(_has_type(value, one) for one in alternatives):
        code = FaultCode.OUT_OF_RANGE if meant else FaultCode.UNKNOWN_NAME
    expected = describe(schema)
    at.fault(code, f"Expected {expected}.", received=value, expected=expected)
    return value


def _is_meant(value: Any, schema: Schema) -> bool:
    """Whether the value is of the sort that this alternative speaks of, right or wrong in detail."""
    if "enum" in schema:
        return any(value == one and type(value) is type(one) for one in schema["enum"])
    return _has_type(value, schema)


def _takes(value: Any, alternatives: Sequence[Schema]) -> bool:
    return any(_is_meant(value, one) for one in alternatives)


def _has_type(value: Any, schema: Schema) -> bool:
    if "enum" in schema:
        return any(type(value) is type(one) for one in schema["enum"])
    if "declared" in schema:
        return True  # its own check says what is expected
    if "keras" in schema:
        return isinstance(value, dict) or (isinstance(value, str) and schema["keras"] not in OBJECTS_ONLY)
    if isinstance(value, bool):
        return bool(schema["type"] == "boolean")
    return isinstance(value, _PYTHON_TYPES[schema["type"]])


def _check(value: Any, schema: Schema, at: Pointer, check_object: CheckObject) -> Any:
    if "keras" in schema:
        return check_object(value, schema["keras"], at)
    if "declared" in schema:
        return _DECLARED[schema["declared"]](value, at)
    if isinstance(value, list):
        _check_bounds(len(value), schema.get("minItems"), schema.get("maxItems"), value, schema, at)
        if len(value) <= schema["maxItems"]:
            return [check_value(item, schema["items"], at / i, check_object) for i, item in enumerate(value)]
    elif isinstance(value, str) and "enum" not in schema:
        _check_bounds(len(value), None, schema.get("maxLength"), value, schema, at)
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            at.fault(FaultCode.BAD_NAME, f"Expected {describe(schema)}.", received=value, expected=describe(schema))
    elif isinstance(value, int | float):
        _check_bounds(value, schema.get("minimum"), schema.get("maximum"), value, schema, at)
        _check_exclusive(value, schema, at)
    return value


def _check_bounds(
    measure: float, low: float | None, high: float | None, value: Any, schema: Schema, at: Pointer
) -> None:
    if (low is not None and measure < low) or (high is not None and measure > high):
        expected = describe(schema)
        at.fault(FaultCode.OUT_OF_RANGE, f"Expected {expected}.", received=value, expected=expected)


def _check_exclusive(value: float, schema: Schema, at: Pointer) -> None:
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (low is not None and value <= low) or (high is not None and value >= high):
        expected = describe(schema)
        at.fault(FaultCode.OUT_OF_RANGE, f"Expected {expected}.", received=value, expected=expected)


# --- A schema in words ---------------------------------------------------------------------------------------------


def describe(schema: Schema) -> str:
    """What is expected, for a message: «an integer ≥ 1 or null»."""
    if "anyOf" in schema:
        return " or ".join(describe(one) for one in schema["anyOf"])
    if "enum" in schema:
        words = [_literal(one) for one in schema["enum"]]
        return words[0] if len(words) == 1 else "one of " + ", ".join(words)
    if "declared" in schema:
        return "a " + str(schema["declared"]).replace("_", " ")
    if "keras" in schema:
        kind = schema["keras"]
        form = " as {class_name, config}" if kind in OBJECTS_ONLY else ": a name or {class_name, config}"
        return _KIND_NAMES.get(kind, f"one of Keras's {kind}{form}")
    if schema["type"] == "array":
        return f"a list of {_count(schema['minItems'], schema['maxItems'])}, each {describe(schema['items'])}"
    if "pattern" in schema:
        return str(schema.get("title", "a letter, then up to 63 letters, digits or underscores"))
    if "maxLength" in schema:
        return f"a string of at most {schema['maxLength']} characters"
    return _TYPE_NAMES.get(schema["type"]) or _number_in_words(schema)


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower()


def _count(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _number_in_words(schema: Schema) -> str:
    noun = "an integer" if schema["type"] == "integer" else "a number"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # The bound of 32 bits is there for safety; in a message it would only be noise.
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema and abs(schema[key]) < 2**31 - 1]
    return " ".join([noun, " and ".join(bounds)]).strip()
