"""What can be known of the values of a job's arrays before it trains."""

from pathlib import Path
from typing import Final

import numpy as np

from fitqueue.datasets import BUILTIN
from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec.checks.ranges import Range
from fitqueue.spec.data import ArrayRef, DataSpec, Validation, array_refs
from workers.keras_tools.npz import Array, DataError, read_npz

_READABLE_BYTES: Final = 64 * 1024**2


class Known:
    """Reads small arrays of files that are on this machine, when they are asked for."""

    def __init__(self, spec: DataSpec | None, check_request: ModelCheckRequest) -> None:
        self._spec = spec
        self._question = check_request
        self._found: dict[str, Range | None] = {}

    def inputs(self, ref: ArrayRef) -> Range | None:
        """The values of an array of inputs as it is stored, with those to validate on."""
        return self._together("x", ref)

    def targets(self, ref: ArrayRef) -> Range | None:
        """The same of an array of targets."""
        if self._question.classes is not None:
            return Range(0, self._question.classes - 1)
        return self._together("y", ref)

    def _together(self, axis: str, ref: ArrayRef) -> Range | None:
        names = [ref.array, *_counterparts(self._spec.validation if self._spec else None, axis, ref)]
        known = [values for values in map(self._range, names) if values is not None]
        return known[0] | known[-1] if known else None

    def _range(self, name: str) -> Range | None:
        if name not in self._found:
            self._found[name] = self._read(name)
        return self._found[name]

    def _read(self, name: str) -> Range | None:
        path, array = self._path(), self._question.arrays.get(name)
        if path is None or array is None or array.dtype == "str" or array.estimated_bytes > _READABLE_BYTES:
            return None
        try:
            values = read_npz(path, {name})[name]
        except DataError:
            return None
        return _range_of(values)

    def _path(self) -> Path | None:
        if self._question.dataset_path is not None:
            return Path(self._question.dataset_path)
        builtin = BUILTIN.get(self._spec.dataset) if self._spec is not None else None
        return builtin.path if builtin is not None else None


def _counterparts(validation: Validation | None, axis: str, ref: ArrayRef) -> list[str]:
    """The array to validate on that goes where this one goes."""
    wanted = array_refs(getattr(validation, axis)) if validation is not None else []
    return [other.array for other in wanted if other.key == ref.key]


def _range_of(values: Array) -> Range | None:
    if values.size == 0 or not np.isfinite(low := values.min()) or not np.isfinite(high := values.max()):
        return None
    if values.dtype.kind == "f":
        return Range(float(low), float(high), bool((values == values.round()).all()))
    return Range(int(low), int(high))
