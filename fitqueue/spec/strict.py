"""The strict model that every part of a spec is made of, and pydantic's findings as faults."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from fitqueue.spec.report import FaultCode, Pointer, did_you_mean, listed, shortened


class Strict(BaseModel):
    """A part of a job as a person writes it: no unknown fields, no conversions. Reading back may ignore extras."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


ONE: Final = Tag("[one]")
EACH: Final = Tag("[each]")


def form(value: Any) -> str:
    """Whether a value is one for all, or holds one for each input or output under its name: pydantic's tag for it."""
    return (
        EACH.tag if isinstance(value, dict) and (not value or not {"class_name", "config"} & value.keys()) else ONE.tag
    )


ONE_OR_EACH: Final = Discriminator(form)
"""Of a union of ONE and EACH: faults are then those of the form that was meant."""


# --- What pydantic finds, in our words -----------------------------------------------------------------------------

_TYPES: Final = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}
_CODES: Final = {"string_pattern_mismatch": FaultCode.BAD_NAME, "literal_error": FaultCode.UNKNOWN_NAME}


def report_validation_error(error: ValidationError, model: type[BaseModel], at: Pointer) -> None:
    """Write down each thing that pydantic found, under the place whose value it read."""
    for line in error.errors(include_url=False):
        # pydantic marks a key as the culprit by a last step "[key]"; to a JSON pointer that is the member itself. And
        # it names the form of a value, where there are several, like a step on the way.
        steps = [step for step in line["loc"] if step not in ("[key]", ONE.tag, EACH.tag)]
        here = at
        for step in steps:
            here = here / step
        kind, context = line["type"], line.get("ctx", {})
        if kind == "extra_forbidden":
            here.fault(
                FaultCode.UNKNOWN_FIELD,
                f"There is no field {shortened(steps[-1])!r} here."
                + did_you_mean(str(steps[-1]), _fields_at(model, steps[:-1])),
                received=line["input"],
                expected="one of " + listed(_fields_at(model, steps[:-1]), most=40),
            )
        elif kind == "missing":
            here.fault(FaultCode.MISSING, f"The field {steps[-1]!r} is missing.", expected="a value")
        elif kind in _TYPES:
            here.fault(FaultCode.WRONG_TYPE, f"Expected {_TYPES[kind]}.", received=line["input"], expected=_TYPES[kind])
        elif kind == "value_error":
            here.fault(FaultCode.CONFLICT, str(context["error"]), received=line["input"])
        else:
            expected = line["msg"].removeprefix("Input should be ").replace("String should have", "a string of")
            expected = expected.replace("String should match pattern", "a string of the pattern")
            code = _CODES.get(kind, FaultCode.OUT_OF_RANGE)
            here.fault(code, f"Expected {expected}.", received=line["input"], expected=expected)


def _fields_at(model: type[BaseModel], steps: Sequence[str | int]) -> list[str]:
    """Names of the fields of the model that stands `steps` inside `model`."""
    for step in steps:
        if isinstance(step, str) and step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _model_in(part))), None)
