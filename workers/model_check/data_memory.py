"""The memory that the data of a job takes in the child, from the shapes of its arrays."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress

from fitqueue.datasets import ArrayInfo
from fitqueue.spec import PartialJob
from fitqueue.spec.fields.data import ArrayRef, StepError, array_refs, prepared_info
from workers.model_check.sizes import item_bytes

_COPIES = 3
"""The array itself, the tensor that Keras makes of it, and the data set that it makes of the tensor."""
_BYTES_PER_INDEX = 24
"""A permutation of the samples, the next one, and what it is shuffled in."""
_UNEQUAL_LENGTH = 512
"""What an axis of unequal lengths is taken to have."""


def data_bytes(spec: PartialJob, arrays: Mapping[str, ArrayInfo]) -> int:
    """Return what the arrays of a job take at most, while they are prepared or while it trains."""
    refs = _refs(spec)
    stored = sum(_bytes(arrays[name]) for name in {ref.array for ref in refs} if name in arrays)
    prepared, while_prepared = 0, 0
    for ref in refs:
        if ref.array in arrays:
            while_prepared = max(while_prepared, prepared + _most_of_steps(arrays[ref.array], ref))
            prepared += _prepared_bytes(arrays[ref.array], ref)
    samples = max((arrays[ref.array].shape[0] or 0 for ref in refs if ref.array in arrays), default=0)
    return max(stored + while_prepared, _COPIES * prepared + _BYTES_PER_INDEX * samples)


def _refs(spec: PartialJob) -> list[ArrayRef]:
    data = spec.data
    if data is None:
        return []
    refs = []
    for names in [data] if data.validation is None else [data, data.validation]:
        refs += array_refs(names.x, data.prepare.x) + array_refs(names.y, data.prepare.y)
        refs += array_refs(names.sample_weight)
    return refs


def _prepared_bytes(array: ArrayInfo, ref: ArrayRef) -> int:
    with suppress(StepError):
        return _bytes(prepared_info(array, ref.steps))
    return _bytes(array)


def _most_of_steps(array: ArrayInfo, ref: ArrayRef) -> int:
    """Return what the largest step needs: what goes in, what comes out, and what Keras computes in float64."""
    most, before = 0, array
    for step in ref.steps:
        with suppress(StepError):
            after = prepared_info(before, [step])
            extra = 3 if step.one_hot is not None else 1
            most = max(most, (0 if before is array else _bytes(before)) + extra * _bytes(after))
            before = after
    return most


def _bytes(array: ArrayInfo) -> int:
    return _values(array.shape) * item_bytes(array.dtype)


def _values(shape: Iterable[int | None]) -> int:
    return math.prod(_UNEQUAL_LENGTH if length is None else length for length in shape)
