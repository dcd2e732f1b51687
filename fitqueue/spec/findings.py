"""What the checks of a job report: faults and notices, each with a code and a pointer into the job."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fitqueue.errors import Fault
from fitqueue.json_pointer import pointer_to
from fitqueue.spec.nearest import nearest
from fitqueue.states import DescribedEnum
from fitqueue.text import truncate
from fitqueue.views import Notice

MAX_FAULTS: Final = 100
MAX_RECEIVED: Final = 120
"""The most characters of a faulty value that its sender is shown."""

_MAX_QUOTED: Final = 64


class FaultCode(DescribedEnum):
    """The ways in which a job can be wrong."""

    MISSING = ("missing", "A required field or argument is missing.")
    UNKNOWN_FIELD = ("unknown_field", "No field or argument has this name. The message suggests the nearest known one.")
    WRONG_TYPE = ("wrong_type", "The value has another type than expected. Nothing is converted silently.")
    OUT_OF_RANGE = ("out_of_range", "The value has the right type but is too small, too large, too short or too long.")
    UNKNOWN_CLASS = ("unknown_class", "The class is not in the catalogue of this service.")
    UNKNOWN_NAME = ("unknown_name", "The name is not in the catalogue of this service, or not one of those expected.")
    CUSTOM_OBJECT = ("custom_object", "The object is not one of Keras's own. The service never runs users' code.")
    NOT_SUPPORTED = ("not_supported", "Keras supports this, but the service does not.")
    BAD_NAME = ("bad_name", "The name contains characters that are not allowed.")
    DUPLICATE_NAME = ("duplicate_name", "Two things that need different names share one.")
    BAD_GRAPH = ("bad_graph", "The layers of a functional model are not connected correctly.")
    UNKNOWN_DATASET = ("unknown_dataset", "There is no data set with this name or id.")
    UNKNOWN_PROJECT = ("unknown_project", "There is no project with this name that the user sees.")
    UNKNOWN_JOB = ("unknown_job", "There is no job with this id, or it has not saved any weights yet.")
    UNKNOWN_CHECKPOINT = ("unknown_checkpoint", "The job has no checkpoint with this name.")
    UNKNOWN_ARRAY = ("unknown_array", "The data set has no array with this name.")
    BAD_SHAPE = ("bad_shape", "A shape does not match the data before it or the model after it.")
    NOT_LOGGED = (
        "not_logged",
        "Training does not log this value, so nothing can monitor it or be named after it.",
    )
    BAD_TEMPLATE = ("bad_template", "The filepath of a ModelCheckpoint is not a template that the service accepts.")
    CONFLICT = ("conflict", "Two fields contradict each other.")
    TOO_LARGE = ("too_large", "The job is larger, or nested more deeply, than the service accepts.")
    INVALID_MODEL = ("invalid_model", "Keras cannot build the model. The message quotes Keras.")
    REFUSED_BY_KERAS = ("refused_by_keras", "Keras refuses to create this object. The message quotes Keras.")
    LIMIT_EXCEEDED = ("limit_exceeded", "The user or the project may not have so much. An admin sets these limits.")
    NOT_ENOUGH_MEMORY = ("not_enough_memory", "The job takes more memory than any live worker of its pool has.")
    BAD_TARGETS = ("bad_targets", "The targets do not match the outputs of the model, or the loss that compares them.")


class NoticeCode(DescribedEnum):
    """Why a valid job deserves a remark."""

    TRANSLATED = ("translated", "This was written for an older version of Keras and has been translated.")
    IGNORED = ("ignored", "This has no effect and has been left out.")
    FILLED_IN = ("filled_in", "This was missing and has been derived from the rest of the job.")
    SUSPICIOUS = ("suspicious", "The job can be trained as it is, but this is probably not what was meant.")
    NON_FINITE = ("non_finite", "The data has NaN or infinite values. One of them is enough for a loss of NaN.")
    INITIALIZED = ("initialized", "Some layers start with stored weights: the message names them, and the others.")
    SEVERAL_VALUES = (
        "several_values",
        "The metric gives several values: their mean is logged under its name, and each value under a name of its own.",
    )
    NEARLY_TOO_LARGE = (
        "nearly_too_large",
        "The job takes more than four fifths of the memory of the largest live worker of its pool.",
    )
    MORE = ("more", "There are more notices than the service stores: the last of them says how many are left out.")
    UNCHECKED = ("unchecked", "Keras has not built the model yet: a fault in it will only show when the job runs.")


class TooManyFaults(Exception):
    """The report holds as many faults as it may."""


@dataclass
class Findings:
    """The faults and notices found so far.

    The fault that reaches `limit` raises TooManyFaults: a hostile body could contain millions of faults.
    """

    limit: int = MAX_FAULTS
    faults: list[Fault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class Pointer:
    """A JSON pointer into the job, with the report that takes what is found there.

    `pointer / key` leads to the member or item inside. `nesting` counts the Keras objects around it. `renames` says
    what a pointer is in the job as it was sent, where the checked one has another form: see `parsing/by_order.py`.
    """

    findings: Findings
    text: str = ""
    nesting: int = 0
    renames: Mapping[str, str] = field(default_factory=dict)

    def __truediv__(self, key: str | int) -> "Pointer":
        text = self.text + pointer_to(key)
        return replace(self, text=self.renames.get(text, text))

    def nested(self) -> "Pointer":
        """Return the same pointer, nested one Keras object deeper."""
        return replace(self, nesting=self.nesting + 1)

    def add_fault(self, code: FaultCode, message: str, received: Any = None, expected: str | None = None) -> None:
        """Report a fault here.

        Raises:
            TooManyFaults: when the report is full.
        """
        self.findings.faults.append(
            Fault(
                pointer=self.text,
                code=str(code),
                message=message,
                received=_shortened(received),
                expected=expected,
            )
        )
        if len(self.findings.faults) >= self.findings.limit:
            raise TooManyFaults

    def add_notice(self, code: NoticeCode, message: str) -> None:
        """Report a notice here."""
        self.findings.notices.append(Notice(pointer=self.text, code=str(code), message=message))


def _shortened(value: Any) -> Any:
    """Return the value itself if it is short, else the beginning of its JSON."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return value if len(text) <= MAX_RECEIVED else truncate(text, MAX_RECEIVED)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest known word, to append to a message; empty if none is near."""
    guess = nearest(word, known)
    return f" Did you mean {guess!r}?" if guess else ""


def quoted(name: str) -> str:
    """Return a name that a user sent, quoted and truncated for a message."""
    return repr(truncate(name, _MAX_QUOTED))


def listed(words: Sequence[str], most: int = 12) -> str:
    """Return the first `most` words, quoted and separated by commas, for a message."""
    shown = ", ".join(repr(word) for word in words[:most])
    return shown if len(words) <= most else f"{shown}, … ({len(words)} in all)"
