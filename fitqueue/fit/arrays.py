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


class NotNumbers(ValueError):
    """A value cannot be made an array of numbers; the message says why."""


def to_array(value: Any, floatx: str) -> Array:
    """Return an array as Keras would feed it: floating-point numbers as `floatx`, all others as they are.

    Raises:
        NotNumbers: it has other values than numbers, or rows of unequal lengths.
    """
    array = _of_frame(value) if _is_frame(value) else _of_any(value)
    if array.dtype.kind not in NUMBERS:
        raise NotNumbers(f"its values are {_words_of(array.dtype)}, and not numbers")
    if array.ndim == 0:
        raise NotNumbers("it is a single number, and not an array")
    return array.astype(floatx, copy=False) if array.dtype.kind == "f" else array


def by_names(value: Any, names: Sequence[str], argument: str, floatx: str, pointer: Pointer) -> dict[str, Array]:
    """Return an array for each input or output of the model.

    Args:
        value: one array, or several: by the names, or in their order.
        names: of the inputs or outputs.
        argument: of `fit`, for messages.
    """
    given = _given(value, names, argument, pointer)
    arrays = {}
    for name, part in given.items():
        label = argument if len(names) == 1 else f"{argument}[{name!r}]"
        try:
            arrays[name] = to_array(part, floatx)
        except NotNumbers as error:
            message = f"{label} cannot be sent: {error}."
            pointer.add_fault(FaultCode.WRONG_TYPE, message, type(part).__name__, "an array of numbers")
    return arrays


def _given(value: Any, names: Sequence[str], argument: str, pointer: Pointer) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - set(names))
        missing = [name for name in names if name not in value]
        if unknown or missing:
            message = f"{argument} has the keys {list(map(str, value))}, and the model needs {list(names)}."
            pointer.add_fault(FaultCode.UNKNOWN_NAME, message, list(map(str, value)), f"the keys {list(names)}")
            return {}
        return {name: value[name] for name in names}
    if len(names) == 1:
        is_wrapped = isinstance(value, list | tuple) and len(value) == 1 and hasattr(value[0], "shape")
        return {names[0]: value[0] if is_wrapped else value}
    if not isinstance(value, list | tuple) or len(value) != len(names):
        count = len(value) if isinstance(value, list | tuple) else "one array"
        message = f"The model has {len(names)} of them, {list(names)}, and {argument} has {count}."
        pointer.add_fault(FaultCode.BAD_SHAPE, message, None, f"a list or a dict of {len(names)} arrays")
        return {}
    return dict(zip(names, value, strict=True))


def _of_any(value: Any) -> Array:
    if hasattr(value, "to_tensor") or type(value).__name__ in {"SparseTensor", "RaggedTensor"}:
        raise NotNumbers(f"it is a {type(value).__name__}: convert it to a dense array first")
    if hasattr(value, "tocsr"):
        raise NotNumbers("it is a sparse matrix: send `x.toarray()`")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise NotNumbers("its rows have unequal lengths: use keras.utils.pad_sequences first") from None
        raise NotNumbers(str(error)) from None


def _is_frame(value: Any) -> bool:
    modules = [sys.modules[name] for name in ("pandas", "polars") if name in sys.modules]
    return any(isinstance(value, getattr(module, kind)) for module in modules for kind in ("DataFrame", "Series"))


def _of_frame(value: Any) -> Array:
    """Return the numbers of a frame; a column by itself as a matrix with one column, as Keras feeds it."""
    if type(value).__name__ == "Series":
        return np.expand_dims(value.to_numpy(), axis=-1)
    columns = {str(name): np.asarray(value[name].to_numpy()) for name in value.columns}
    texts = [name for name, column in columns.items() if column.dtype.kind not in NUMBERS]
    if texts:
        raise NotNumbers(f"its columns {texts} are not numbers: leave them out, or encode them")
    return np.asarray(value.to_numpy())


def _words_of(dtype: "np.dtype[Any]") -> str:
    kinds = {"U": "text", "S": "bytes", "O": "objects", "M": "dates", "m": "durations", "c": "complex numbers"}
    return kinds.get(dtype.kind, str(dtype))
