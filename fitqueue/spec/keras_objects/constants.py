"""The argument `value` of the initializer Constant: a number, or the array of a whole weight as a nested list."""

from itertools import chain
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, Pointer

_MAX_AXES: Final = 8
_EXPECTED: Final = "a number, or a nested list of numbers in which all lists of a level have the same length"


def check_array(value: Any, pointer: Pointer) -> Any:
    """Return the array as it was sent, and report what is not one. The model check compares its shape."""
    if not isinstance(value, list) or not _is_array(value):
        pointer.add_fault(FaultCode.WRONG_TYPE, f"Expected {_EXPECTED}.", value, _EXPECTED)
    return value


def _is_array(items: list[Any]) -> bool:
    """Return whether these are numbers, or lists of the same length whose items are such a list again.

    The items of one level are compared at once, in a time that even the largest body allows.
    """
    for _ in range(_MAX_AXES):
        types = set(map(type, items))
        if types and types <= {int, float}:
            return True
        if types != {list} or len(set(map(len, items))) > 1:
            return False
        items = list(chain.from_iterable(items))
    return False
