"""Answers that have only some fields of a job, for clients that ask often and need few."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from fitqueue.errors import Fault, InvalidRequest
from fitqueue.spec.findings import did_you_mean, listed, quoted
from fitqueue.views import JobSummary, JobView

SUMMARY_FIELDS: Final = tuple(JobSummary.model_fields)
JOB_FIELDS: Final = tuple(JobView.model_fields)
LARGE_FIELDS: Final = frozenset({"spec", "notices", "model"})
"""They can be a megabyte, and are read only for an answer that has them."""


def _split(values: Any) -> Any:
    """Return the names in `a,b`. A client may also repeat the parameter; clients write an empty list as `fields=`."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return values
    return [name.strip() for value in values if value for name in value.split(",")]


def fields_parameter(known: Sequence[str]) -> Any:
    """Return the type of the query parameter `fields`."""
    name = Annotated[str, Field(json_schema_extra={"enum": list(known)})]
    return Annotated[list[name], BeforeValidator(_split)]


def chosen(names: Collection[str], known: Sequence[str]) -> frozenset[str] | None:
    """Return the fields that an answer is to have; None for all.

    Raises:
        InvalidRequest: one of them is not a field.
    """
    faults = [_unknown(name, known) for name in names if name not in known]
    if faults:
        raise InvalidRequest(errors=faults)
    return frozenset(names) or None


def only(values: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Return the chosen fields in the order of an answer that has all of them."""
    return {name: values[name] for name in JOB_FIELDS if name in fields}


def _unknown(name: str, known: Sequence[str]) -> Fault:
    return Fault(
        pointer="fields",
        code="unknown_field",
        message=f"A job has no field {quoted(name)}." + did_you_mean(name, known),
        received=name[:100],
        expected="one of " + listed(known, most=40),
    )
