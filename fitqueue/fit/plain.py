"""Values of Python and NumPy as values of JSON."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fitqueue.spec.findings import FaultCode, Pointer


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy's numbers, tuples and paths become Python's numbers, lists and strings."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(inner) for inner in value]
    return value


def _key(key: Any) -> str:
    key = plain(key)
    return str(int(key)) if isinstance(key, float) and key.is_integer() else str(key)


def report_not_finite(value: Any, pointer: Pointer) -> None:
    """Report each number that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        message = f"{value} is not a number that can be sent."
        pointer.add_fault(FaultCode.OUT_OF_RANGE, message, str(value), "a finite number")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            report_not_finite(inner, pointer / key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            report_not_finite(inner, pointer / index)
