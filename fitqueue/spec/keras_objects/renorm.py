"""The argument `renorm_clipping` of BatchNormalization: bounds of its correction, by name."""

from typing import Any

from pydantic import Field, ValidationError

from fitqueue.spec.findings import FaultCode, Pointer
from fitqueue.spec.strict import Strict, report_validation_error


class _Clipping(Strict):
    rmax: float | None = None
    rmin: float | None = None
    dmax: float | None = Field(default=None, ge=0)


def check_renorm_clipping(value: Any, pointer: Pointer) -> Any:
    """Return the bounds as they were sent, and report their faults. Null stands for no bounds."""
    if value is None:
        return None
    if not isinstance(value, dict):
        expected = 'an object such as {"rmax": 3, "rmin": 0.3, "dmax": 5}, or null'
        pointer.add_fault(FaultCode.WRONG_TYPE, f"Expected {expected}.", value, expected)
        return None
    try:
        _Clipping.model_validate(value)
    except ValidationError as error:
        report_validation_error(error, _Clipping, value, pointer)
    return value
