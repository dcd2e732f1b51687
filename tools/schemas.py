"""The schemas of the catalogue: JSON Schema, with three keywords of our own.

`{"keras": kind}` stands for an object of that kind in the catalogue, or its name. `{"declared": form}` stands for a
declaration of our own, in place of a function in Keras. `reason` says why an argument accepts nothing but null.
"""

from typing import Any

from fitqueue.spec.keras_objects.naming import ANY_NAME, ROOT_NAME, SCOPE_NAME

Schema = dict[str, Any]

MAX_INTEGER = 2**31 - 1

FLOATS = ["float16", "bfloat16", "float32", "float64"]
DTYPES = [*FLOATS, "mixed_float16", "mixed_bfloat16"]
ARRAY_DTYPES = [*FLOATS, "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


def integer(minimum: int = -MAX_INTEGER, maximum: int = MAX_INTEGER) -> Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def number(**bounds: float) -> Schema:
    return {"type": "number", **bounds}


def one_of(*values: Any) -> Schema:
    return {"enum": list(values)}


def any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def nullable(schema: Schema) -> Schema:
    return any_of(*schema.get("anyOf", [schema]), NULL)


def array(items: Schema, min_items: int = 0, max_items: int = 64) -> Schema:
    return {"type": "array", "items": items, "minItems": min_items, "maxItems": max_items}


def keras(kind: str) -> Schema:
    return {"keras": kind}


def pattern(expression: str, title: str) -> Schema:
    """Return the schema of a string that matches the whole expression; `title` describes it in words."""
    return {"type": "string", "pattern": expression, "title": title}


def declared(form: str) -> Schema:
    return {"declared": form}


def unsupported(reason: str) -> Schema:
    """Return the schema of an argument that must be null; `reason` is a sentence for whoever gives it a value."""
    return {"type": "null", "description": "Keras has it, this service does not: null only.", "reason": reason}


def each_axis(items: Schema, axes: int) -> Schema:
    """Return the schema of one value for all axes, or a list with one for each axis."""
    return any_of(items, array(items, axes, axes))


NULL: Schema = {"type": "null"}
BOOL: Schema = {"type": "boolean"}
# The longest name of a logged value that the database takes.
STRING: Schema = {"type": "string", "maxLength": 256}
INPUT_NAME = nullable(
    pattern(
        ANY_NAME["pattern"].replace("[^", "[^/"), "a name of 1 to 255 characters without slashes and control characters"
    )
)
NAMES: dict[str, Schema] = {
    "layers": nullable(SCOPE_NAME),
    "applications": nullable(SCOPE_NAME),
    "losses": nullable(SCOPE_NAME),
    "optimizers": nullable(ROOT_NAME),
    "schedules": nullable(SCOPE_NAME),
    "metrics": nullable(ANY_NAME),
}
"""The names with which Keras builds, trains, saves and loads, by the kind of the object."""
_IN_FILE_NAME = ANY_NAME["pattern"].replace("[^", "[^/\\\\").removesuffix("{1,255}")
FILE_NAME = pattern(
    _IN_FILE_NAME.replace("[^", "[^.") + _IN_FILE_NAME + "{0,199}",
    "a name of 1 to 200 characters without folders and control characters, not with a dot first",
)
POSITIVE = integer(1)
NATURAL = integer(0)
SEED = nullable(integer(0))
AXIS = integer(-16, 16)
FRACTION = number(minimum=0, maximum=1)
RATE = number(minimum=0, exclusiveMaximum=1)
NOT_NEGATIVE = number(minimum=0)
ABOVE_ZERO = number(exclusiveMinimum=0)
SHAPE = nullable(array(nullable(POSITIVE), 0, 16))
MODE = one_of("auto", "min", "max")
LEARNING_RATE = any_of(ABOVE_ZERO, keras("schedules"))
REDUCTION = nullable(one_of("sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none"))
FLOAT_OR_FLOATS = nullable(any_of(FRACTION, array(FRACTION, 1, 1000)))
SPAN = any_of(number(), array(number(), 2, 2))
"""A number, or the two ends of a range to draw from."""
