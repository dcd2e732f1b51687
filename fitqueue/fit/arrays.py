"""What a user passes to `fit` as x, y or weights, as numpy arrays with the values that Keras would train on."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fitqueue.spec.findings import FaultCode, Pointer

Array = NDArray[Any]
NUMBERS: Final = "biuf"
"""The kinds of dtypes that a model can be trained on."""

_EXTRA_FLOATS: Final = ("bfloat16", "float8")
"""Floating-point dtypes that NumPy itself does not have."""


class NotNumbers(ValueError):
    """A value cannot be made an array of numbers; the message says why."""


def to_array(value: Any, floatx: str) -> Array:
    """Return an array as Keras would feed it: floating-point numbers as `floatx`, all others as they are.

    Raises:
        NotNumbers: it has other values than numbers, or rows of unequal lengths.
    """
    array = _of_frame(value, floatx) if _is_frame(value) else as_numpy(value)
    if array.dtype.name.startswith(_EXTRA_FLOATS):
        array = array.astype(floatx)
    if array.dtype.kind not in NUMBERS:
        raise NotNumbers(_why_not(array, value))
    if array.ndim == 0:
        raise NotNumbers("it is a single number, and not an array")
    dtype = np.dtype(floatx) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    return array.astype(dtype, copy=False)


def by_names(
    value: Any, names: Sequence[str], argument: str, floatx: str, pointer: Pointer, *, is_partial: bool = False
) -> dict[str, Array]:
    """Return an array for each input or output of the model.

    Args:
        value: one array, or several: by the names, or in their order.
        names: of the inputs or outputs.
        argument: of `fit`, for messages.
        is_partial: whether some of the names may be missing.
    """
    given = _given(value, names, argument, pointer, is_partial=is_partial)
    arrays = {}
    for name, part in given.items():
        label = argument if len(names) == 1 else f"{argument}[{name!r}]"
        try:
            arrays[name] = to_array(part, floatx)
        except NotNumbers as error:
            message = f"{label} cannot be sent: {error}."
            pointer.add_fault(FaultCode.WRONG_TYPE, message, type(part).__name__, "an array of numbers")
    return arrays


def is_several(value: Any, names: Sequence[str]) -> bool:
    """Return whether a value has an array for each of several inputs or outputs, and not one for all of them."""
    return len(names) > 1 and (isinstance(value, Mapping) or (isinstance(value, list | tuple) and not _is_rows(value)))


def _given(value: Any, names: Sequence[str], argument: str, pointer: Pointer, *, is_partial: bool) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - set(names))
        missing = [name for name in names if value.get(name) is None]
        if unknown or (missing and not is_partial):
            message = f"{argument} has the keys {list(map(str, value))}, and the model needs {list(names)}."
            pointer.add_fault(FaultCode.UNKNOWN_NAME, message, list(map(str, value)), f"the keys {list(names)}")
            return {}
        return {name: value[name] for name in names if name not in missing}
    if len(names) == 1:
        is_wrapped = isinstance(value, list | tuple) and len(value) == 1 and hasattr(value[0], "shape")
        return {names[0]: value[0] if is_wrapped else value}
    if not isinstance(value, list | tuple) or len(value) != len(names):
        count = len(value) if isinstance(value, list | tuple) else "one array"
        message = f"The model has {len(names)} of them, {list(names)}, and {argument} has {count}."
        pointer.add_fault(FaultCode.BAD_SHAPE, message, None, f"a list or a dict of {len(names)} arrays")
        return {}
    pairs = zip(names, value, strict=True)
    return {name: part for name, part in pairs if part is not None or not is_partial}


def _is_rows(value: Sequence[Any]) -> bool:
    """Return whether this is one array, written as a list of numbers."""
    return all(isinstance(part, int | float | np.number) for part in value)


def as_numpy(value: Any) -> Array:
    """Return anything but a frame as an array, of whatever values.

    Raises:
        NotNumbers: it has no such form.
    """
    if hasattr(value, "to_tensor") or type(value).__name__ in {"SparseTensor", "RaggedTensor"}:
        raise NotNumbers(f"it is a {type(value).__name__}: convert it to a dense array first")
    if hasattr(value, "tocsr"):
        raise NotNumbers("it is a sparse matrix: send `x.toarray()`")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        if "inhomogeneous" in str(error):
            raise NotNumbers("its rows have unequal lengths: use keras.utils.pad_sequences first") from None
        raise NotNumbers(str(error).partition("\n")[0].rstrip(".")) from None


# --- Frames --------------------------------------------------------------------------------------------------------


def _is_frame(value: Any) -> bool:
    modules = [sys.modules[name] for name in ("pandas", "polars") if name in sys.modules]
    return any(isinstance(value, getattr(module, kind)) for module in modules for kind in ("DataFrame", "Series"))


def _of_frame(value: Any, floatx: str) -> Array:
    """Return the numbers of a frame; a column by itself as a matrix with one column, as Keras feeds it."""
    if type(value).__name__ == "Series":
        return np.expand_dims(value.to_numpy(), axis=-1)
    series = value.get_columns() if hasattr(value, "get_columns") else [column for _, column in value.items()]
    columns = [np.asarray(column.to_numpy()) for column in series]
    bad = [str(each.name) for each, column in zip(series, columns, strict=True) if column.dtype.kind not in NUMBERS]
    if bad:
        raise NotNumbers(f"its columns {bad} are not numbers: leave them out, or encode them")
    if any(column.dtype.kind == "f" for column in columns):
        columns = [column.astype(floatx) for column in columns]
    return np.stack(columns, axis=-1) if columns else np.empty((len(value), 0))


# --- Messages ------------------------------------------------------------------------------------------------------

_KINDS: Final = {"U": "text", "S": "text", "M": "dates", "m": "durations", "c": "complex numbers"}
_ADVICE: Final = {
    "text": ": encode them as numbers first",
    "dates": ": send them as numbers, such as seconds",
    "durations": ": send them as numbers, such as seconds",
    "complex numbers": ": send their real and imaginary parts",
}


def _why_not(array: Array, value: Any) -> str:
    if array.dtype.kind == "O" and array.ndim == 0:
        return f"it is a {type(value).__name__}, and not an array of numbers"
    if array.dtype.kind == "O":
        kinds = {type(item).__name__ for item in array.ravel()[:1000].tolist()}
        words = "text" if kinds <= {"str", "bytes"} else f"objects ({', '.join(sorted(kinds))})"
    else:
        words = _KINDS.get(array.dtype.kind, str(array.dtype))
    return f"its values are {words}, and not numbers{_ADVICE.get(words, '')}"
