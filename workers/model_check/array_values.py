"""The arrays of a job as training sees them, and the ranges of their values as far as those are known before."""

from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec import PartialJob
from fitqueue.spec.checks.consistency import prepare_arrays
from fitqueue.spec.checks.ranges import Range, ranges_before, stored_range
from fitqueue.spec.checks.targets import Targets
from fitqueue.spec.fields.data import ArrayRef, DataSpec, array_refs


class JobArrays:
    """The prepared arrays of a job, by the inputs or outputs that they are for."""

    def __init__(self, spec: PartialJob, request: ModelCheckRequest) -> None:
        data = spec.data
        self._arrays = request.arrays
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
        return [(ref.key, self._targets_of(ref)) for ref in valid]

    def _targets_of(self, ref: ArrayRef) -> Targets:
        values = self._arrays[ref.array].values
        labels = values.labels_per_sample if values is not None and not ref.steps else None
        return Targets(self.y[ref.key], ref.steps, self._stored.of_targets(ref), labels)


class _StoredRanges:
    """The ranges of arrays as they are stored."""

    def __init__(self, data: DataSpec | None, request: ModelCheckRequest) -> None:
        self._validation = data.validation if data is not None else None
        self._arrays = request.arrays

    def of_inputs(self, ref: ArrayRef) -> Range | None:
        """Return the range of an array of inputs together with its validation array; None if it is unknown."""
        return self._with_validation("x", ref)

    def of_targets(self, ref: ArrayRef) -> Range | None:
        """Return the range of an array of targets together with its validation array; None if it is unknown."""
        return self._with_validation("y", ref)

    def _with_validation(self, field: str, ref: ArrayRef) -> Range | None:
        names = [ref.array, *self._validation_arrays(field, ref)]
        ranges = [stored_range(self._arrays[name]) for name in names if name in self._arrays]
        known = [values for values in ranges if values is not None]
        return known[0] | known[-1] if known else None

    def _validation_arrays(self, field: str, ref: ArrayRef) -> list[str]:
        """Return the array, if there is one, to validate with for the same input or output."""
        refs = array_refs(getattr(self._validation, field)) if self._validation is not None else []
        return [other.array for other in refs if other.key == ref.key]
