"""The memory that the data of a job takes in the child, from the shapes of its arrays."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from fitqueue.datasets import ArrayInfo
from fitqueue.spec import PartialJob
from fitqueue.spec.fields.data import ArrayRef, DataSpec, StepError, Validation, array_refs, prepared_info
from workers.model_check.sizes import item_bytes

_FED_COPIES: Final = 2
"""The tensor that Keras makes of an array, and the data set that it makes of the tensor. All fractions are float32."""
_BYTES_PER_INDEX: Final = 24
"""A permutation of the samples, the next one, and what it is shuffled in."""
_UNEQUAL_LENGTH: Final = 512
"""What an axis of unequal lengths is taken to have."""


def data_bytes(spec: PartialJob, arrays: Mapping[str, ArrayInfo]) -> int:
    """Return what the arrays of a job take at most, while they are prepared or while it trains."""
    refs = [ref for ref in _refs(spec) if ref.array in arrays]
    stored = sum(_bytes(arrays[name]) for name in {ref.array for ref in refs})
    prepared, while_prepared, fed = 0, 0, 0
    for ref in refs:
        array = _prepared(arrays[ref.array], ref)
        while_prepared = max(while_prepared, prepared + _most_of_steps(arrays[ref.array], ref))
        prepared += _bytes(array)
        fed += max(_bytes(array), _values(array.shape) * item_bytes("float32") * array.dtype.startswith("float"))
    samples = max((arrays[ref.array].shape[0] or 0 for ref in refs), default=0)
    return max(stored + while_prepared, prepared + _FED_COPIES * fed + _BYTES_PER_INDEX * samples)


def _refs(spec: PartialJob) -> list[ArrayRef]:
    data = spec.data
    if data is None:
        return []
    refs: list[ArrayRef] = []
    sources: list[DataSpec | Validation] = [data] if data.validation is None else [data, data.validation]
    for names in sources:
        refs += array_refs(names.x, data.prepare.x) + array_refs(names.y, data.prepare.y)
        refs += array_refs(names.sample_weight)
    return refs


def _prepared(array: ArrayInfo, ref: ArrayRef) -> ArrayInfo:
    with suppress(StepError):
        return prepared_info(array, ref.steps)
    return array


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
