"""The JSON Schema of a whole job as users write it.

It describes the form of Keras 3 and of `docs/spec.md`. What older versions of Keras wrote is accepted by the service as
well, and is not described.
"""

from typing import Any, Final

from fitqueue.spec.json_schema.keras import Definitions, api_definitions, full_definitions, named
from fitqueue.spec.keras_objects.catalogue import Schema
from fitqueue.spec.parsing.job import JobSpec
from fitqueue.spec.parsing.parse import SCHEMA_KEY

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final[Schema] = {"type": "null"}


def job_schema(*, with_arguments: bool) -> dict[str, Any]:
    """Return the JSON Schema of a job.

    Args:
        with_arguments: whether it has the arguments of each class of Keras, which editors complete and a generated
            client could do nothing with.
    """
    schema: dict[str, Any] = _readable(JobSpec.model_json_schema())
    definitions: Definitions = schema["$defs"]
    del definitions["KerasObject"]
    _describe_job(schema["properties"])
    _describe_compile(definitions["CompileSpec"])
    for part in ("DataSpec", "Validation"):
        _describe_arrays(definitions[part]["properties"])
    definitions |= full_definitions() if with_arguments else api_definitions()
    return {SCHEMA_KEY: _DIALECT, "title": "FitQueue job", **schema, "description": "A job: what is trained, and how."}


def _readable(value: Any) -> Any:
    """Return a schema of pydantic's without titles, which repeat the names, and with unions that generators know.

    `anyOf` stands in place of `oneOf`, because a value may match several members. All members of an `enum` have one
    type.
    """
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_schema = not isinstance(value.get("title"), dict)  # and not the properties of one
    readable = {
        "anyOf" if key == "oneOf" else key: _readable(item)
        for key, item in value.items()
        if key != "title" or not is_schema
    }
    members = readable.get("enum", [])
    if len({type(member) for member in members}) < 2:
        return readable
    del readable["enum"]
    texts = [member for member in members if isinstance(member, str)]
    others = [member for member in members if not isinstance(member, str)]
    return {**readable, "anyOf": [{"type": "string", "enum": texts}, {"type": "integer", "enum": others}]}


def _describe_job(properties: dict[str, Any]) -> None:
    written = {"type": "string", "description": "a model as the string that `to_json()` returns"}
    _replace(properties, "model", {"anyOf": [{"$ref": "#/$defs/Model"}, written]})
    _replace(properties, "callbacks", {"type": "array", "maxItems": 64, "items": named("callbacks")})
    properties[SCHEMA_KEY] = {
        "type": "string",
        "description": "the address of this schema, for editors: `/api/v1/job.schema.json`; the service leaves it out",
    }


def _describe_compile(definition: dict[str, Any]) -> None:
    properties = definition["properties"]
    loss, metric = named("losses"), named("metrics")
    _replace(properties, "optimizer", named("optimizers"))
    _replace(properties, "loss", _single_or_several(loss, _or_null(loss)))
    of_output = {"anyOf": [*metric["anyOf"], {"type": "array", "items": metric}]}
    for name in ("metrics", "weighted_metrics"):
        each = {"type": "object", "additionalProperties": of_output}
        _replace(properties, name, {"anyOf": [{"type": "array", "items": _or_null(of_output)}, each, _NULL]})
    number = {"type": "number"}
    _replace(properties, "loss_weights", _or_null(_single_or_several(number, _or_null(number))))
    for name in ("run_eagerly", "auto_scale_loss"):
        properties[name] = {"description": "`get_compile_config()` writes it, and the service leaves it out"}


def _describe_arrays(properties: dict[str, Any]) -> None:
    array = {"type": "string", "maxLength": 128}
    for name in ("x", "y"):
        _replace(properties, name, _single_or_several(array, array))
    _replace(properties, "sample_weight", _or_null(_single_or_several(array, _or_null(array))))


def _single_or_several(single: Schema, each: Schema) -> Schema:
    """Return the schema of one value, of a list in the order of the model's inputs or outputs, or of values by name."""
    several = [{"type": "array", "items": each}, {"type": "object", "additionalProperties": each}]
    return {"anyOf": [*_alternatives(single), *several]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [*_alternatives(schema), _NULL]}


def _alternatives(schema: Schema) -> list[Schema]:
    return list(schema.get("anyOf", [schema]))


def _replace(properties: dict[str, Any], name: str, schema: Schema) -> None:
    """Replace the schema of a field, but for its description and default."""
    kept = {key: value for key, value in properties[name].items() if key in {"description", "default"}}
    properties[name] = {**kept, **schema}
