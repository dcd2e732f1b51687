"""Names the arrays of a job with values that are not finite, when its loss was not."""

from collections.abc import Iterator

import numpy as np

from fitqueue.spec.fields.data import DataSpec, array_refs
from fitqueue.states import Reason
from fitqueue.text import non_finite_text
from workers.keras_tools.npz import Array
from workers.shared.protocol import Ended
from workers.trainer.data import Arrays, Data

_CHUNK_VALUES = 4_000_000


def with_cause(ended: Ended, spec: DataSpec, data: Data | None) -> Ended:
    """Return the outcome of a training; if its loss was not finite, with the arrays that explain it.

    Args:
        data: the prepared arrays, as `load` returns them; None if they were not loaded.
    """
    if ended.reason is not Reason.NAN_LOSS or data is None:
        return ended
    causes = [f"{name!r} has {text}" for name, text in _non_finite(spec, data)]
    if not causes:
        return ended
    return ended.model_copy(update={"message": f"{ended.message} The data is the cause: {'; '.join(causes)}."})


def _non_finite(spec: DataSpec, data: Data) -> Iterator[tuple[str, str]]:
    """Yield the name of each array with values that are not finite, and how many they are."""
    for names, arrays in ((spec.x, data.train.x), (spec.y, data.train.y), (spec.sample_weight, data.train.weights)):
        for ref in array_refs(names):
            array = _array(arrays, ref.key)
            nan, infinite = _count(array)
            if nan or infinite:
                yield ref.array, non_finite_text(nan, infinite, array.size)


def _array(arrays: Arrays | None, key: str | None) -> Array:
    array = arrays[key] if isinstance(arrays, dict) and key is not None else arrays
    assert isinstance(array, np.ndarray)
    return array


def _count(array: Array) -> tuple[int, int]:
    """Return how many values are NaN and how many are infinite, without a copy of the whole array."""
    if array.dtype.kind != "f":
        return 0, 0
    flat = array.reshape(-1)
    chunks = [flat[start : start + _CHUNK_VALUES] for start in range(0, flat.size, _CHUNK_VALUES)]
    return sum(int(np.isnan(chunk).sum()) for chunk in chunks), sum(int(np.isinf(chunk).sum()) for chunk in chunks)
