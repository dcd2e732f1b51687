"""What every part of a spec is made of: the strict model, and the place where a fault or a notice is written down."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from fitqueue.errors import Fault
from fitqueue.states import DescribedEnum
from fitqueue.views import Notice

MAX_FAULTS: Final = 100
MAX_RECEIVED: Final = 120
"""Characters of a faulty value that are shown to its sender."""


class FaultCode(DescribedEnum):
    """What can be wrong at one place of a job."""

    MISSING = ("missing", "A required field or argument is not there.")
    UNKNOWN_FIELD = ("unknown_field", "There is no field or argument of this name; the nearest known one is named.")
    WRONG_TYPE = ("wrong_type", "The value is of another type than expected. Nothing is converted silently.")
    OUT_OF_RANGE = ("out_of_range", "The value is of the right type, and too small, too large, too long or too short.")
    UNKNOWN_CLASS = ("unknown_class", "The class is not in the catalogue of this service.")
    UNKNOWN_NAME = ("unknown_name", "The name is not in the catalogue of this service, or not one of those expected.")
    CUSTOM_OBJECT = ("custom_object", "The object is not one of Keras's own. No code of users is ever run.")
    NOT_SUPPORTED = ("not_supported", "Keras can do this, the service cannot.")
    BAD_NAME = ("bad_name", "A name has characters that it may not have.")
    DUPLICATE_NAME = ("duplicate_name", "Two things that need names of their own share one.")
    BAD_GRAPH = ("bad_graph", "The layers of a functional model do not connect.")
    UNKNOWN_DATASET = ("unknown_dataset", "There is no data set of this name or id.")
    UNKNOWN_JOB = ("unknown_job", "There is no job of this id, or it has not saved any weights yet.")
    UNKNOWN_ARRAY = ("unknown_array", "The data set has no array of this name.")
    BAD_SHAPE = ("bad_shape", "A shape does not fit the data before it or the model after it.")
    NOT_LOGGED = ("not_logged", "The training does not log this value, so nothing can watch it or be named after it.")
    BAD_TEMPLATE = ("bad_template", "The filepath of a ModelCheckpoint is not a template that the service takes.")
    CONFLICT = ("conflict", "Two fields contradict each other.")
    TOO_LARGE = ("too_large", "The job is larger or nested deeper than the service takes.")
    INVALID_MODEL = ("invalid_model", "Keras cannot build the model; the message has Keras's own words.")
    REFUSED_BY_KERAS = ("refused_by_keras", "Keras refuses to make this object; the message has Keras's own words.")
    BAD_TARGETS = ("bad_targets", "The targets do not fit what the model puts out, or the loss that compares them.")


class NoticeCode(DescribedEnum):
    """Why something in the job was understood in another way than it was written."""

    TRANSLATED = ("translated", "It was written as older versions of Keras had it, and translated.")
    IGNORED = ("ignored", "It has no effect here and was left out.")
    FILLED_IN = ("filled_in", "It was missing and follows from the rest of the job.")
    SUSPICIOUS = ("suspicious", "It can be trained as it stands, and is probably not what was meant.")
    UNCHECKED = ("unchecked", "The job was taken before Keras could build its model: a fault will show when it runs.")


class Enough(Exception):
    """The report is full."""


@dataclass
class Report:
    """What was found. At `limit` faults the search ends with Enough: a hostile body could have a million."""

    limit: int = MAX_FAULTS
    faults: list[Fault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A place in the job as it was sent. `place / key` is the place inside it."""

    report: Report
    pointer: str = ""
    nesting: int = 0

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.report, self.pointer + _token(key), self.nesting)

    def deeper(self) -> "Place":
        """The same place, one Keras object further inside."""
        return Place(self.report, self.pointer, self.nesting + 1)

    def fault(self, code: FaultCode, message: str, received: Any = None, expected: str | None = None) -> None:
        self.report.faults.append(
            Fault(
                pointer=self.pointer,
                code=str(code),
                message=message,
                received=shortened(received),
                expected=expected,
            )
        )
        if len(self.report.faults) >= self.report.limit:
            raise Enough

    def notice(self, code: NoticeCode, message: str) -> None:
        self.report.notices.append(Notice(pointer=self.pointer, code=str(code), message=message))


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


def _token(key: str | int) -> str:
    return "/" + str(key).replace("~", "~0").replace("/", "~1")


def shortened(value: Any) -> Any:
    """The value itself if it is short, else the beginning of its JSON."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return value if len(text) <= MAX_RECEIVED else f"{text[:MAX_RECEIVED]}…"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, whatever its case."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word[:64].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    guess = nearest(word, known)
    return f" Did you mean {guess!r}?" if guess else ""


def listed(words: Sequence[str], most: int = 12) -> str:
    """Words for a message: the first few of them, quoted."""
    shown = ", ".join(repr(word) for word in words[:most])
    return shown if len(words) <= most else f"{shown}, … ({len(words)} in all)"


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


def report_validation_error(error: ValidationError, model: type[BaseModel], at: Place) -> None:
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
