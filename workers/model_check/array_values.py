"""The arrays of a job as training sees them, and the ranges of their values as far as those are known before."""

from pathlib import Path
from typing import Final

import numpy as np

from fitqueue.datasets import BUILTIN
from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec import PartialJob
from fitqueue.spec.checks.consistency import prepare_arrays
from fitqueue.spec.checks.ranges import Range, ranges_before
from fitqueue.spec.checks.targets import Targets
from fitqueue.spec.fields.data import ArrayRef, DataSpec, array_refs
from workers.keras_tools.npz import Array, DataError, read_npz

_MAX_BYTES_READ: Final = 64 * 1024**2


class JobArrays:
    """The prepared arrays of a job, by the inputs or outputs that they are for."""

    def __init__(self, spec: PartialJob, request: ModelCheckRequest) -> None:
        data = spec.data
        self._stored = _StoredRanges(data, request)
        self._inputs = array_refs(data.x, data.prepare.x) if data is not None else []
        self._targets = array_refs(data.y, data.prepare.y) if data is not None else []
        weights = array_refs(data.sample_weight) if data is not None else []
        self.x = prepare_arrays(self._inputs, request.arrays)
        self.y = prepare_arrays(self._targets, request.arrays)
        self.weights = prepare_arrays(weights, request.arrays)

    def input_range(self, key: str | None) -> Range | None:
        """Return the range of the prepared values of an input; None if it is unknown."""
        [ref] = [ref for ref in self._inputs if ref.key == key]
        return ranges_before(self._stored.of_inputs(ref), ref.steps)[-1]

    def targets(self) -> list[tuple[str | None, Targets]]:
        """Return the targets without those that are faulty, each with its key."""
        valid = [ref for ref in self._targets if ref.key in self.y and self.y[ref.key].dtype != "str"]
        return [(ref.key, Targets(self.y[ref.key], ref.steps, self._stored.of_targets(ref))) for ref in valid]


class _StoredRanges:
    """The ranges of arrays as they are stored. Reads small arrays from files on this machine, when they are needed."""

    def __init__(self, data: DataSpec | None, request: ModelCheckRequest) -> None:
        self._data = data
        self._request = request
        self._ranges: dict[str, Range | None] = {}

    def of_inputs(self, ref: ArrayRef) -> Range | None:
        """Return the range of an array of inputs together with its validation array; None if it is unknown."""
        return self._with_validation("x", ref)

    def of_targets(self, ref: ArrayRef) -> Range | None:
        """Return the range of an array of targets together with its validation array; None if it is unknown."""
        if self._request.classes is not None:
            return Range(0, self._request.classes - 1)
        return self._with_validation("y", ref)

    def _with_validation(self, field: str, ref: ArrayRef) -> Range | None:
        names = [ref.array, *self._validation_arrays(field, ref)]
        ranges = [values for values in map(self._range, names) if values is not None]
        return ranges[0] | ranges[-1] if ranges else None

    def _validation_arrays(self, field: str, ref: ArrayRef) -> list[str]:
        """Return the array, if there is one, to validate with for the same input or output."""
        validation = self._data.validation if self._data is not None else None
        refs = array_refs(getattr(validation, field)) if validation is not None else []
        return [other.array for other in refs if other.key == ref.key]

    def _range(self, name: str) -> Range | None:
        if name not in self._ranges:
            self._ranges[name] = self._read_range(name)
        return self._ranges[name]

    def _read_range(self, name: str) -> Range | None:
        path, array = self._path(), self._request.arrays.get(name)
        if path is None or array is None or array.dtype == "str" or array.estimated_bytes > _MAX_BYTES_READ:
            return None
        try:
            return _range_of(read_npz(path, {name})[name])
        except DataError:
            return None

    def _path(self) -> Path | None:
        if self._request.dataset_path is not None:
            return Path(self._request.dataset_path)
        builtin = BUILTIN.get(self._data.dataset) if self._data is not None else None
        return builtin.path if builtin is not None else None


def _range_of(values: Array) -> Range | None:
    if values.size == 0 or not np.isfinite(low := values.min()) or not np.isfinite(high := values.max()):
        return None
    if values.dtype.kind == "f":
        return Range(float(low), float(high), bool((values == values.round()).all()))
    return Range(int(low), int(high))
