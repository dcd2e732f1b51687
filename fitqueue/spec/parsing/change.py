"""A change of a job that waits, as a user sends it: a JSON merge patch (RFC 7396) of some of its fields."""

from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from fitqueue.errors import InvalidRequest
from fitqueue.spec.fields.training import PoolName
from fitqueue.spec.findings import FaultCode, Findings, Pointer, TooManyFaults
from fitqueue.spec.parsing.job import JobName, LabelKey, LabelValue, Priority, Seconds
from fitqueue.spec.strict import Strict, report_unknown_fields, report_validation_error


class JobChange(Strict):
    """What becomes of a job's fields. One that is left out stays as it is; null stands for its default."""

    name: JobName | None = None
    pool: PoolName | None = None
    priority: Priority | None = None
    preemptible: bool | None = None
    labels: dict[LabelKey, LabelValue | None] | None = None
    """Labels to add or to replace; null removes one."""
    max_runtime_seconds: Seconds | None = None
    max_queued_seconds: Seconds | None = None
    keep: bool | None = None
    """The only one that may change when the job no longer waits."""


def parse_change(raw: Any) -> JobChange:
    """Return the change that a user sent, given as the value of its JSON.

    Raises:
        InvalidRequest: names all faults at once.
    """
    findings = Findings()
    with suppress(TooManyFaults):
        change = _examine(raw, Pointer(findings))
    if findings.faults:
        count = len(findings.faults)
        message = "The change has a fault." if count == 1 else f"The change has {count} faults."
        raise InvalidRequest(message, errors=findings.faults)
    assert change is not None
    return change


def _examine(raw: Any, pointer: Pointer) -> JobChange | None:
    if not isinstance(raw, dict):
        pointer.add_fault(FaultCode.WRONG_TYPE, "Expected an object.", raw, "an object")
        return None
    known = report_unknown_fields(JobChange, raw, pointer)
    try:
        return JobChange.model_validate(known)
    except ValidationError as error:
        report_validation_error(error, JobChange, known, pointer)
        return None
