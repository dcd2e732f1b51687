"""Check plain values against the schemas that the catalogue gives the arguments, and describe schemas in words.

The schemas are JSON Schema with the keywords `anyOf`, `enum`, `type`, the usual bounds, and three of our own: `keras`,
an object of that kind or a name for one; `declared`, which has a function of its own to check it; and `reason`, why
nothing but null is accepted. Nothing is converted, except that a float without a fraction, such as 3.0, is read as an
integer, and 0 and 1 as booleans, with a notice. "3" is not a number.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer
from fitqueue.spec.keras_objects.catalogue import OBJECTS_ONLY, Schema
from fitqueue.spec.keras_objects.constants import check_array
from fitqueue.spec.keras_objects.renorm import check_renorm_clipping
from fitqueue.spec.keras_objects.schedules import check_schedule

_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}
_DECLARED: Final[dict[str, Callable[[Any, Pointer], Any]]] = {
    "learning_rate_schedule": check_schedule,
    "renorm_clipping": check_renorm_clipping,
    "nested_list_of_numbers": check_array,
}


# --- Which alternative of a schema was meant -----------------------------------------------------------------------


def read_number(value: Any, schema: Schema, pointer: Pointer) -> Any:
    """Return the integer or boolean that a number stands for, if the schema accepts that and not the number itself."""
    if isinstance(value, bool) or not isinstance(value, int | float) or select_alternatives(value, schema):
        return value
    for meant in _meanings(value):
        if select_alternatives(meant, schema):
            pointer.add_notice(NoticeCode.TRANSLATED, f"{value} is read as {_literal(meant)}.")
            return meant
    return value


def _meanings(value: float) -> list[Any]:
    """Return what a number may stand for: 3.0 for 3, and 0 and 1 for false and true."""
    integers = [int(value)] if isinstance(value, float) and value.is_integer() else []
    return integers + ([bool(value)] if value in (0, 1) else [])


def select_alternatives(value: Any, schema: Schema) -> Sequence[Schema]:
    """Return the alternatives of the schema that are for values such as this one, be it valid or not."""
    return [alternative for alternative in _alternatives(schema) if _is_meant(value, alternative)]


def report_mismatch(value: Any, schema: Schema, pointer: Pointer) -> None:
    """Report a value that none of the schema's alternatives accepts."""
    if "reason" in schema:
        pointer.add_fault(FaultCode.WRONG_TYPE, f"Expected null. {schema['reason']}", received=value, expected="null")
        return
    code = FaultCode.WRONG_TYPE
    if any(_has_type(value, alternative) for alternative in _alternatives(schema)):
        code = FaultCode.OUT_OF_RANGE if select_alternatives(value, schema) else FaultCode.UNKNOWN_NAME
    _report(code, value, schema, pointer)


def _alternatives(schema: Schema) -> Sequence[Schema]:
    alternatives: Sequence[Schema] = schema.get("anyOf", [schema])
    return alternatives


def _is_meant(value: Any, schema: Schema) -> bool:
    if "enum" in schema:
        return any(value == member and type(value) is type(member) for member in schema["enum"])
    return _has_type(value, schema)


def _has_type(value: Any, schema: Schema) -> bool:
    if "enum" in schema:
        return any(type(value) is type(member) for member in schema["enum"])
    if "declared" in schema:
        return True  # the function that checks it says what is expected
    if "keras" in schema:
        return isinstance(value, dict) or (isinstance(value, str) and schema["keras"] not in OBJECTS_ONLY)
    if isinstance(value, bool):
        return bool(schema["type"] == "boolean")
    return isinstance(value, _PYTHON_TYPES[schema["type"]])


# --- Checks of one value against one alternative -------------------------------------------------------------------


def check_plain_value(value: Any, schema: Schema, pointer: Pointer) -> Any:
    """Return a value of the schema's type that contains no Keras objects, and report its faults.

    The items of a list are not checked here, since they may be Keras objects.
    """
    if "declared" in schema:
        return _DECLARED[schema["declared"]](value, pointer)
    if "enum" in schema:
        return value
    if isinstance(value, str):
        _check_string(value, schema, pointer)
    elif isinstance(value, int | float):
        _check_number(value, schema, pointer)
    return value


def check_length(value: list[Any], schema: Schema, pointer: Pointer) -> bool:
    """Report a list of the wrong length. Return whether its items should be checked: not if there are too many."""
    if not schema["minItems"] <= len(value) <= schema["maxItems"]:
        _report(FaultCode.OUT_OF_RANGE, value, schema, pointer)
    return len(value) <= int(schema["maxItems"])


def _check_string(value: str, schema: Schema, pointer: Pointer) -> None:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        _report(FaultCode.OUT_OF_RANGE, value, schema, pointer)
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        _report(FaultCode.BAD_NAME, value, schema, pointer)


def _check_number(value: float, schema: Schema, pointer: Pointer) -> None:
    low, high = schema.get("minimum"), schema.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        _report(FaultCode.OUT_OF_RANGE, value, schema, pointer)
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (low is not None and value <= low) or (high is not None and value >= high):
        _report(FaultCode.OUT_OF_RANGE, value, schema, pointer)


def _report(code: FaultCode, value: Any, schema: Schema, pointer: Pointer) -> None:
    expected = describe(schema)
    pointer.add_fault(code, f"Expected {expected}.", received=value, expected=expected)


# --- A schema in words ---------------------------------------------------------------------------------------------

_TYPE_NAMES: Final = {"boolean": "true or false", "null": "null", "string": "a string", "array": "a list"}
_KIND_NAMES: Final = {
    "activations": "the name of an activation or an activation layer",
    "dtype_policies": "the name of a dtype policy such as 'float32'",
}
_MAX_INT32: Final = 2**31 - 1


def describe(schema: Schema) -> str:
    """Return what a schema expects in words, for a message: "an integer ≥ 1 or null"."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(describe(alternative) for alternative in schema["anyOf"]))
    if "enum" in schema:
        literals = [_literal(member) for member in schema["enum"]]
        return literals[0] if len(literals) == 1 else "one of " + ", ".join(literals)
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
    return _TYPE_NAMES.get(schema["type"]) or _describe_number(schema)


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower()


def _count(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _describe_number(schema: Schema) -> str:
    noun = "an integer" if schema["type"] == "integer" else "a number"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # The bounds of 32-bit integers are a safeguard and would only clutter the message.
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema and abs(schema[key]) < _MAX_INT32]
    return " ".join([noun, " and ".join(bounds)]).strip()
