"""The strict base class of everything in a job, and pydantic's validation errors as faults."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from fitqueue.spec.elsewhere import suggest_field
from fitqueue.spec.findings import FaultCode, Pointer, listed, quoted
from fitqueue.spec.validation_words import expected, message


class Strict(BaseModel):
    """A part of a job that accepts neither unknown fields nor values that would need a conversion.

    `read_job` relaxes both when it reads a stored job.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Pattern:
    """A regular expression that the whole of a string must match, with the words that stand for it in messages.

    It annotates a string, as in `Annotated[str, Pattern("[a-z]+", "lower-case letters")]`.
    """

    expression: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self.expression})$", "description": self.words}

    def _validate(self, text: str) -> str:
        if re.fullmatch(self.expression, text) is None:
            raise PydanticCustomError("string_pattern_mismatch", "Input should be {words}", {"words": self.words})
        return text


SINGLE: Final = Tag("[single]")
BY_NAME: Final = Tag("[by name]")


def is_by_name(value: Any) -> bool:
    """Return whether a value is an object with one value for each input or output, and not a single value for all."""
    return isinstance(value, dict) and (not value or not {"class_name", "config"} & value.keys())


SINGLE_OR_BY_NAME: Final = Discriminator(lambda value: BY_NAME.tag if is_by_name(value) else SINGLE.tag)
"""Discriminates a union of SINGLE and BY_NAME, so that only the faults of the form that was meant are reported."""


# --- pydantic's validation errors as faults ------------------------------------------------------------------------

_WRONG_TYPES: Final = frozenset(
    {
        "int_type", "int_from_float", "float_type", "bool_type", "string_type", "list_type", "dict_type", "model_type",
        "model_attributes_type", "none_required",
    }
)  # fmt: skip
_CODES: Final = {
    "string_pattern_mismatch": FaultCode.BAD_NAME,
    "literal_error": FaultCode.UNKNOWN_NAME,
}


def report_validation_error(error: ValidationError, model: type[BaseModel], value: Any, pointer: Pointer) -> None:
    """Report each of pydantic's errors as a fault; `pointer` leads to `value`, which was validated as `model`.

    What has a fault already is not reported again.
    """
    reported = {fault.pointer for fault in pointer.findings.faults}
    for details in error.errors(include_url=False):
        keys = _keys_in(value, details["loc"])
        fault_pointer = pointer
        for key in keys:
            fault_pointer = fault_pointer / key
        if fault_pointer.text not in reported:
            _report(details, keys, model, fault_pointer)


def report_unknown_fields(model: type[BaseModel], value: Mapping[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Report each member of an object that the model does not know, and return the others."""
    for name in [name for name in value if name not in model.model_fields]:
        _report_unknown_field([name], value[name], model, pointer / name)
    return {name: item for name, item in value.items() if name in model.model_fields}


def _keys_in(value: Any, location: Sequence[str | int]) -> list[str | int]:
    """Return the keys of a pydantic location that lead into the value.

    pydantic adds "[key]" where a key of an object is at fault, and the tag of a union's member, which we write like
    "[single]". A user's own key may have the same name.
    """
    keys = []
    for key in location:
        is_in_value = isinstance(value, dict) and key in value
        if is_in_value or not str(key).startswith("["):
            keys.append(key)
            is_index = isinstance(value, list) and isinstance(key, int)
            value = value[key] if is_in_value or is_index else None
    return keys


def _report(details: Any, keys: Sequence[str | int], model: type[BaseModel], pointer: Pointer) -> None:
    kind, received = details["type"], details["input"]
    if kind == "extra_forbidden":
        _report_unknown_field(keys, received, model, pointer)
    elif kind == "missing":
        pointer.add_fault(FaultCode.MISSING, message(details), expected="a value")
    elif kind == "value_error":
        pointer.add_fault(FaultCode.CONFLICT, message(details), received)
    else:
        pointer.add_fault(_code_of(kind), message(details), received, expected(details))


def _report_unknown_field(keys: Sequence[str | int], received: Any, model: type[BaseModel], pointer: Pointer) -> None:
    name, known = str(keys[-1]), _fields_at(model, keys[:-1])
    pointer.add_fault(
        FaultCode.UNKNOWN_FIELD,
        f"Unknown field {quoted(name)}." + suggest_field(name, ".".join(map(str, keys[:-1])), known, model),
        received=received,
        expected="one of " + listed(known, most=40),
    )


def _code_of(kind: str) -> FaultCode:
    return FaultCode.WRONG_TYPE if kind in _WRONG_TYPES else _CODES.get(kind, FaultCode.OUT_OF_RANGE)


def _fields_at(model: type[BaseModel], keys: Sequence[str | int]) -> list[str]:
    """Return the field names of the model that `keys` lead to inside `model`."""
    for key in keys:
        if isinstance(key, str) and key in model.model_fields:
            model = _model_in(model.model_fields[key].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first pydantic model in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in getattr(annotation, "__args__", ()) if (model := _model_in(argument))), None)
