"""Where the checks of a job report what they find: fault and notice codes, the report, and pointers into the job."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fitqueue.errors import Fault
from fitqueue.json_pointer import pointer_to
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


class TooManyFaults(Exception):
    """The report is full."""


@dataclass
class Report:
    """What was found. At `limit` faults the search ends with Enough: a hostile body could have a million."""

    limit: int = MAX_FAULTS
    faults: list[Fault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class Pointer:
    """A place in the job as it was sent. `place / key` is the place inside it."""

    report: Report
    text: str = ""
    nesting: int = 0

    def __truediv__(self, key: str | int) -> "Pointer":
        return Pointer(self.report, self.text + pointer_to(key), self.nesting)

    def deeper(self) -> "Pointer":
        """The same place, one Keras object further inside."""
        return Pointer(self.report, self.text, self.nesting + 1)

    def fault(self, code: FaultCode, message: str, received: Any = None, expected: str | None = None) -> None:
        self.report.faults.append(
            Fault(
                pointer=self.text,
                code=str(code),
                message=message,
                received=shortened(received),
                expected=expected,
            )
        )
        if len(self.report.faults) >= self.report.limit:
            raise TooManyFaults

    def notice(self, code: NoticeCode, message: str) -> None:
        self.report.notices.append(Notice(pointer=self.text, code=str(code), message=message))


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
